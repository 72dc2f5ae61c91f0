// SPDX-License-Identifier: Apache-2.0

/// The machine of a moment later, as far as it shows already; pure.
///
/// The kernel lists added RAM before it puts the first block of it online, and takes the blocks of
/// removed RAM away before it lets go of the RAM (mm/memory_hotplug.c, `add_memory_resource` and
/// `try_remove_memory`). An image that follows in between is never stale at all. Nothing is wrong if
/// it does not: neither kind of memory is in use.
package struct Ahead: Hashable {
    /// The machine as it will be.
    package let system: LiveSystem
    /// How it will differ from the one that the image describes.
    package let coverage: Coverage

    /// Looks ahead; `nil` if the image describes that machine, too.
    ///
    /// `leaving` is the RAM that is about to leave. A kernel that updates the image itself adds what comes
    /// and does not take out what leaves, so only the latter is worth a load then.
    package init?(
        _ live: LiveSystem, leaving: AddressRanges, described: LiveSystem, kernelUpdates: Bool
    ) {
        system = LiveSystem(ram: live.ram.subtracting(leaving), cpus: live.cpus)
        coverage = Coverage(live: system, described: described)
        let isDue = kernelUpdates ? !coverage.phantomMemory.isEmpty : !coverage.isExact
        guard isDue else { return nil }
    }
}

/// Tells memory that is leaving from memory that is coming; pure.
///
/// Both are RAM without blocks. What leaves had blocks before.
struct Passage: Equatable {
    private var settled = AddressRanges()
    private var ram = AddressRanges()

    /// Notes the RAM that there is and which of it is in no block; returns what is leaving.
    mutating func leaving(_ ram: AddressRanges, absent: AddressRanges) -> AddressRanges {
        let leaving = absent.intersection(settled).intersection(ram)
        settled = settled.union(ram.subtracting(absent)).intersection(ram)
        self.ram = ram
        return leaving
    }

    /// Notes that by now all RAM of that moment is in blocks.
    mutating func settle() { settled = ram }
}
