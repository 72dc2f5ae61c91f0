// SPDX-License-Identifier: Apache-2.0

/// A machine, as far as a crash image describes machines: its RAM and its CPUs.
///
/// Two equal values need the same core header. CPUs are those *present*, because a kernel before
/// 6.6 gives each present CPU a note; whether a present CPU is online does not matter to it.
package struct LiveSystem: Hashable, Codable {
    /// System RAM a dump must hold: without the crash kernel's own ranges and what core headers
    /// leave out.
    package let ram: AddressRanges
    /// The CPUs that are present.
    package let cpus: NumberSet
}
