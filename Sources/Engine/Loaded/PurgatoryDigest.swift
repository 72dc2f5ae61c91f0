// SPDX-License-Identifier: Apache-2.0

/// Where the digest is that purgatory checks, and what it covers.
///
/// Loaders leave out what changes after the load; the table beside the digest lists the other
/// regions. Whether the digest still matches them is for `PurgatoryDigestCheck` and `DigestWork` to
/// find out.
package struct PurgatoryDigest: Hashable, Codable {
    /// The physical address of the table of regions.
    package let table: UInt64
    /// The regions that the digest covers, in their order.
    package let regions: [AddressRange]
    /// Its value and address; `nil` if it has not been looked for or was not found.
    package var found: Found?

    /// A digest that was found in purgatory when it was computed again.
    package struct Found: Hashable, Codable {
        /// Its physical address.
        package let place: UInt64
        /// Its bytes.
        package let value: [UInt8]
        /// What a hotplug changes in the regions: whole ones, and pages of one.
        package let edited: [AddressRange]
        /// Its value without those; the same if there are none.
        package let withoutEdited: [UInt8]
    }
}
