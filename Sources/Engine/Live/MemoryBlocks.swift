// SPDX-License-Identifier: Apache-2.0

/// The blocks that the kernel sets online and offline.
///
/// System RAM that is offline holds nothing a dump could lose. There may be hundreds of thousands of
/// blocks, and asking one takes reading a file, so only those in question are asked.
package struct MemoryBlocks {
    private static let folder = "/sys/devices/system/memory"
    /// The most blocks that are asked: 8 TiB at the smallest block size.
    ///
    /// Memory beyond that counts as online: better a false alarm than a missed loss.
    private static let mostAsked = 65_536

    private let root: SystemRoot
    /// How many bytes a block has.
    private let size: UInt64
    private let numbers: [UInt64]

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
        (self.root, self.size, self.numbers) = (root, size, numbers)
    }

    /// The number of links to the folder of the blocks; 0 if there is no such folder.
    ///
    /// It grows and shrinks with them (fs/kernfs/inode.c, `kernfs_refresh_inode`).
    static func links(below root: SystemRoot) -> UInt64 { root.links(to: folder) }

    /// How many blocks it takes to hold `ranges`, each range by itself.
    func count(for ranges: AddressRanges) -> UInt64 {
        ranges.ranges.reduce(0) { $0 + ($1.byteCount / size) + min(1, $1.byteCount % size) }
    }

    /// Returns the parts of `ranges` that are in no block: RAM that is being added or removed.
    ///
    /// The kernel lists RAM before it makes the blocks, and takes the blocks away before it lets go of
    /// the RAM (mm/memory_hotplug.c, `add_memory_resource` and `try_remove_memory`). Without a block
    /// nothing is online.
    package func absent(in ranges: AddressRanges) -> AddressRanges {
        BlockMap(of: ranges, size: size, present: numbers).parts { _, isPresent in !isPresent }
    }

    /// Returns the parts of `ranges` that are not in use: in blocks that are offline, or in none.
    ///
    /// - Throws: A `SystemError` where a block is there but cannot be read.
    package func offline(in ranges: AddressRanges) throws(SystemError) -> AddressRanges {
        var asked = 0
        return try BlockMap(of: ranges, size: size, present: numbers).parts {
            block, isPresent throws(SystemError) in
            guard isPresent else { return true }
            asked += 1
            guard asked <= MemoryBlocks.mostAsked else { return false }
            // A block that goes meanwhile is not in use either.
            let state = try root.line(of: "\(MemoryBlocks.folder)/memory\(block)/state")
            return state.map { $0 == "offline" } ?? true
        }
    }
}
