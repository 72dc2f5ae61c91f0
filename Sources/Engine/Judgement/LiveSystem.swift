// SPDX-License-Identifier: Apache-2.0

/// A machine as a crash image describes it: its RAM and its CPUs.
///
/// Machines that are equal need the same core header. The CPUs are the *present* ones, because
/// kernels before 6.6 give each present CPU a note, online or not.
package struct LiveSystem: Hashable, Codable {
    /// System RAM a dump must hold: without the crash kernel's own ranges and what core headers
    /// leave out.
    package let ram: AddressRanges
    /// The CPUs that are present.
    package let cpus: NumberSet
}
