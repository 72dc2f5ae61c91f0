// SPDX-License-Identifier: Apache-2.0

/// A range of physical addresses, in bytes: `start` belongs to it, `end` does not.
package struct AddressRange: Hashable, Codable {
    /// The first byte.
    package let start: UInt64
    /// The byte after the last.
    package let end: UInt64

    /// Creates the range from `start` up to but not including `end`; an inverted one becomes empty.
    package init(start: UInt64, end: UInt64) {
        self.start = start
        self.end = max(start, end)
    }

    /// How many bytes the range holds.
    package var byteCount: UInt64 { end - start }
}

/// A set of physical addresses, kept as sorted ranges that neither touch nor overlap.
///
/// Two listings of the same memory split it differently (`/proc/iomem` and a core header merge
/// neighbours by different rules), so memory is compared as sets and never as lists.
package struct AddressRanges: Hashable, Codable {
    /// The ranges in ascending order, none empty, none touching the next.
    package let ranges: [AddressRange]

    /// Creates the set of all addresses in `ranges`, which may overlap and come in any order.
    package init(_ ranges: some Sequence<AddressRange> = []) {
        var merged: [AddressRange] = []
        for range in ranges.filter({ $0.byteCount > 0 }).sorted(by: { $0.start < $1.start }) {
            if let last = merged.last, range.start <= last.end {
                merged[merged.count - 1] = AddressRange(
                    start: last.start, end: max(last.end, range.end))
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    /// Whether the set holds no address.
    package var isEmpty: Bool { ranges.isEmpty }

    /// How many bytes the set holds.
    package var byteCount: UInt64 { ranges.reduce(0) { $0 + $1.byteCount } }

    /// Whether all addresses of `range` are in the set.
    package func contains(_ range: AddressRange) -> Bool {
        guard range.byteCount > 0 else { return true }
        let next = ranges.partitionPoint { $0.start <= range.start }
        return next > 0 && range.end <= ranges[next - 1].end
    }

    /// Returns the addresses that are in this set or in `other`.
    package func union(_ other: AddressRanges) -> AddressRanges {
        AddressRanges(ranges + other.ranges)
    }

    /// Returns the addresses of this set that are not in `other`.
    package func subtracting(_ other: AddressRanges) -> AddressRanges {
        var rest: [AddressRange] = []
        var next = other.ranges.startIndex
        for range in ranges {
            var start = range.start
            // Both sides ascend, so a range of `other` that ends before this one is never needed
            // again.
            while next < other.ranges.endIndex, other.ranges[next].end <= start { next += 1 }
            var cut = next
            while cut < other.ranges.endIndex, other.ranges[cut].start < range.end {
                rest.append(AddressRange(start: start, end: other.ranges[cut].start))
                start = max(start, other.ranges[cut].end)
                cut += 1
            }
            rest.append(AddressRange(start: start, end: range.end))
        }
        return AddressRanges(rest)
    }

    /// Returns the addresses that are both in this set and in `other`.
    package func intersection(_ other: AddressRanges) -> AddressRanges {
        subtracting(subtracting(other))
    }
}
