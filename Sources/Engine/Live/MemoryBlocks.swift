// SPDX-License-Identifier: Apache-2.0

/// The blocks that the kernel sets online and offline.
///
/// System RAM that is offline holds nothing a dump could lose. There may be thousands of blocks,
/// and each takes reading a file, so only those in question are read.
package struct MemoryBlocks {
    private static let folder = "/sys/devices/system/memory"
    /// The most blocks that are read: 8 TiB at the smallest block size.
    ///
    /// Memory beyond that counts as online: better a false alarm than a missed loss.
    private static let most = 65_536

    private let root: SystemRoot
    /// How many bytes a block has.
    private let size: UInt64
    private let numbers: Set<UInt64>

    /// Asks the kernel below `root` which blocks there are; `nil` where it has none, because memory
    /// cannot be taken out of use.
    ///
    /// - Throws: A `SystemError` where the size of a block cannot be read.
    package init?(below root: SystemRoot) throws(SystemError) {
        guard let text = try root.line(of: "\(MemoryBlocks.folder)/block_size_bytes"),
            let size = UInt64(text, radix: 16), size > 0
        else { return nil }
        let prefix = "memory"
        let numbers = root.names(in: MemoryBlocks.folder).compactMap { name in
            name.hasPrefix(prefix) ? UInt64(name.dropFirst(prefix.count)) : nil
        }
        guard !numbers.isEmpty else { return nil }
        (self.root, self.size, self.numbers) = (root, size, Set(numbers))
    }

    /// The number of links to the folder of the blocks; 0 if there is no such folder.
    ///
    /// It grows and shrinks with them (fs/kernfs/inode.c, `kernfs_refresh_inode`).
    static func links(below root: SystemRoot) -> UInt64 { root.links(to: folder) }

    /// Returns the parts of `ranges` that are in no block: RAM that is being added or removed.
    ///
    /// The kernel lists RAM before it makes the blocks, and takes the blocks away before it lets go of
    /// the RAM (mm/memory_hotplug.c, `add_memory_resource` and `try_remove_memory`). Without a block
    /// nothing is online.
    package func absent(in ranges: AddressRanges) -> AddressRanges {
        parts(of: ranges) { numbers.contains($0) }
    }

    /// Returns the parts of `ranges` that are not in use: in blocks that are offline, or in none.
    ///
    /// - Throws: A `SystemError` where a block is there but cannot be read.
    package func offline(in ranges: AddressRanges) throws(SystemError) -> AddressRanges {
        try parts(of: ranges) { block throws(SystemError) in
            guard numbers.contains(block) else { return false }
            // A block that goes meanwhile is not in use either.
            let state = try root.line(of: "\(MemoryBlocks.folder)/memory\(block)/state")
            return state.map { $0 != "offline" } ?? false
        }
    }

    /// The parts of `ranges` in blocks that are not `inUse`.
    private func parts<Failure>(
        of ranges: AddressRanges, inUse: (UInt64) throws(Failure) -> Bool
    ) throws(Failure) -> AddressRanges {
        var unused: [AddressRange] = []
        var seen = 0
        for range in ranges.ranges {
            for block in range.start / size...(range.end - 1) / size {
                seen += 1
                guard seen <= MemoryBlocks.most else { break }
                guard try !inUse(block) else { continue }
                let (start, end) = (block * size, (block * size).addingReportingOverflow(size))
                unused.append(
                    AddressRange(start: start, end: end.overflow ? .max : end.partialValue))
            }
        }
        return AddressRanges(unused).intersection(ranges)
    }
}
