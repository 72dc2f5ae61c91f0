// SPDX-License-Identifier: Apache-2.0

/// The list of what a digest covers, as it is in purgatory: 16 pairs of start and length.
///
/// The kernel's own purgatory and kexec-tools' have the same form (`purgatory_sha_regions`,
/// `sha256_regions`), but once they are loaded no symbol says where. So the list is recognised by
/// its form; the digest, found by its value, then proves it.
package struct RegionTable: Hashable {
    /// Its offset in the searched bytes.
    package let offset: Int
    /// The regions, in the order in which the digest is made.
    package let regions: [AddressRange]

    /// How many pairs there are (KEXEC_SEGMENT_MAX, SHA256_REGIONS).
    static let capacity = 16
    private static let pairSize = 16
    /// How many bytes a table has.
    static let byteCount = capacity * pairSize

    /// The bytes of a table of `regions`.
    static func encoded(_ regions: [AddressRange]) -> [UInt8] {
        var bytes: [UInt8] = []
        for region in regions {
            bytes.append(littleEndian: region.start)
            bytes.append(littleEndian: region.byteCount)
        }
        return bytes + [UInt8](repeating: 0, count: byteCount - bytes.count)
    }

    /// Finds everything in `bytes` that looks like a table of regions inside `reserved`.
    package static func candidates(
        in bytes: [UInt8], within reserved: AddressRanges
    ) -> [RegionTable] {
        guard bytes.count >= byteCount else { return [] }
        return stride(from: 0, through: bytes.count - byteCount, by: 8).compactMap { offset in
            // The end of a table looks like a shorter table.
            guard region(in: bytes, at: offset, within: reserved) != nil,
                region(in: bytes, at: offset - pairSize, within: reserved) == nil
            else { return nil }
            return RegionTable(bytes, at: offset, within: reserved)
        }
    }

    /// Reads the table at `offset`, or returns `nil` if there is none.
    private init?(_ bytes: [UInt8], at offset: Int, within reserved: AddressRanges) {
        var regions: [AddressRange] = []
        for index in 0..<RegionTable.capacity {
            let place = offset + index * RegionTable.pairSize
            if let region = RegionTable.region(in: bytes, at: place, within: reserved) {
                guard regions.count == index else { return nil }
                regions.append(region)
            } else {
                guard bytes.double(at: place) == 0, bytes.double(at: place + 8) == 0 else {
                    return nil
                }
            }
        }
        // Segments do not overlap, so the set is as large as the sum.
        guard AddressRanges(regions).byteCount == regions.reduce(0, { $0 + $1.byteCount }) else {
            return nil
        }
        self.offset = offset
        self.regions = regions
    }

    private static func region(
        in bytes: [UInt8], at offset: Int, within reserved: AddressRanges
    ) -> AddressRange? {
        guard let start = bytes.double(at: offset), start > 0,
            start % Architecture.smallestPage == 0,
            let size = bytes.double(at: offset + 8), size > 0,
            size % Architecture.smallestPage == 0,
            reserved.ranges.contains(where: { range in
                range.start <= start && start < range.end && size <= range.end - start
            })
        else { return nil }
        return AddressRange(start: start, end: start + size)
    }

    /// Whether `bytes` hold a pair for one of `segments`: there was a table, damaged or not.
    package static func names(anyOf segments: [AddressRange], in bytes: [UInt8]) -> Bool {
        let known = Set(segments)
        return stride(from: 0, to: bytes.count, by: 8).contains { offset in
            guard let start = bytes.double(at: offset), let size = bytes.double(at: offset + 8),
                size > 0, start <= UInt64.max - size
            else { return false }
            return known.contains(AddressRange(start: start, end: start + size))
        }
    }
}
