// SPDX-License-Identifier: Apache-2.0

/// The blocks that the kernel sets online and offline.
///
/// System RAM that is offline holds nothing a dump could lose. There may be thousands of blocks,
/// and each takes reading a file, so only those in question are read.
package enum MemoryBlocks {
    private static let folder = "/sys/devices/system/memory"
    /// The most blocks that are read: 8 TiB at the smallest block size.
    ///
    /// Memory beyond that counts as online: better a false alarm than a missed loss.
    private static let most: UInt64 = 65_536

    /// Returns the parts of `ranges` that are offline.
    package static func offline(
        in ranges: AddressRanges, below root: SystemRoot
    ) throws(SystemError) -> AddressRanges {
        guard !ranges.isEmpty, let text = try root.line(of: "\(folder)/block_size_bytes"),
            let size = UInt64(text, radix: 16), size > 0
        else { return AddressRanges() }
        var offline: [AddressRange] = []
        var seen: UInt64 = 0
        for range in ranges.ranges {
            for block in range.start / size...(range.end - 1) / size {
                seen += 1
                guard seen <= most else { return AddressRanges(offline).intersection(ranges) }
                // No such file: memory that cannot be set offline.
                let state = try root.line(of: "\(folder)/memory\(block)/state")
                guard state == "offline" else { continue }
                let (start, end) = (block * size, (block * size).addingReportingOverflow(size))
                offline.append(
                    AddressRange(start: start, end: end.overflow ? .max : end.partialValue))
            }
        }
        return AddressRanges(offline).intersection(ranges)
    }
}
