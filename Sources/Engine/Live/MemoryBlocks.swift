// SPDX-License-Identifier: Apache-2.0

/// The blocks in which the kernel takes memory into use and out of it.
///
/// System RAM that is offline holds nothing a dump could lose. There may be thousands of blocks and
/// each costs reading a file, so only those are looked at that a question is about.
package enum MemoryBlocks {
    private static let folder = "/sys/devices/system/memory"
    /// How many blocks are looked at: those of 8 TiB at the smallest size.
    ///
    /// Beyond that, memory counts as online, so that it is rather reported as missing than missed.
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
                // No such block: memory that cannot be taken out of use.
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
