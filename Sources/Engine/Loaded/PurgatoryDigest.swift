// SPDX-License-Identifier: Apache-2.0

/// Where the digest that purgatory checks lies, and what it covers.
///
/// Loaders take out of it what changes after the load; what is left is a list of regions in the
/// table beside it. Whether it still fits its contents is `PurgatoryDigestCheck`'s to find out.
package struct PurgatoryDigest: Hashable, Codable {
    /// The physical address of the table of regions.
    package let table: UInt64
    /// The regions the digest covers, in its order.
    package let regions: [AddressRange]
    /// Its value and place; `nil` where it has not been looked for or is not there.
    package var found: Found?

    /// A digest that was found in purgatory when it was computed again.
    package struct Found: Hashable, Codable {
        /// Its physical address.
        package let place: UInt64
        /// Its bytes.
        package let value: [UInt8]
        /// The regions that a change of the machine edits.
        package let edited: [AddressRange]
        /// What it would be if it did not cover those; the same where there are none.
        package let withoutEdited: [UInt8]
    }
}
