// SPDX-License-Identifier: Apache-2.0

/// Sets of physical addresses as sorted ranges that do not touch, as tests compare them.
///
/// Not the engine's `AddressRanges`: both sides of a comparison would share a mistake.
extension [Range<UInt64>] {
    /// The same addresses in as few ranges as possible, sorted.
    package var joined: Self {
        filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
            .reduce(into: []) { joined, range in
                if let last = joined.last, last.upperBound >= range.lowerBound {
                    let end = Swift.max(last.upperBound, range.upperBound)
                    joined[joined.count - 1] = last.lowerBound..<end
                } else {
                    joined.append(range)
                }
            }
    }

    /// The addresses that are in none of `holes`, sorted.
    package func subtracting(_ holes: Self) -> Self {
        holes.reduce(joined) { ranges, hole in
            ranges.flatMap { range in
                [
                    range.clamped(to: .min..<hole.lowerBound),
                    range.clamped(to: hole.upperBound..<(.max)),
                ].filter { !$0.isEmpty }
            }
        }
    }

    /// Without the first MiB, which each loader treats in its own way.
    package var aboveLegacy: Self { subtracting([0..<1 << 20]) }
}
