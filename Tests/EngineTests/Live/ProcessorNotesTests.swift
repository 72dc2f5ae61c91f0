// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What of the live machine only an audit asks: notes, blocks, places for memory.
@Suite struct ProcessorNotesTests {
    /// Four possible CPUs, 0x80000 apart, of which 0 and 1 are present.
    private let notes = ProcessorNotes(
        addresses: [0: 0x3FC3_D800, 1: 0x3FCB_D800], possible: NumberSet([0, 1, 2, 3]),
        kernelNote: 0x3FD4_C000)

    @Test func takesAllPossibleCPUsForGranted() {
        let all: [UInt64] = [0x3FC3_D800, 0x3FCB_D800, 0x3FD3_D800, 0x3FDB_D800]
        #expect(notes.cpus(at: all) == NumberSet([0, 1]))
    }

    @Test func findsMissingCPUs() {
        #expect(notes.cpus(at: [0x3FC3_D800]) == NumberSet([0]))
        #expect(notes.cpus(at: []) == NumberSet())
    }

    @Test func numbersCPUsThatAreGone() {
        #expect(notes.cpus(at: [0x3FC3_D800, 0x3FCB_D800, 0x3FDB_D800]) == NumberSet([0, 1, 3]))
        // Not a multiple of the distance: the next number that is free.
        #expect(notes.cpus(at: [0x3FC3_D800, 0x3FCB_D800, 0x7000]) == NumberSet([0, 1, 2]))
        #expect(notes.cpus(at: [0x3FC3_D800, 0x3FD3_D800]) == NumberSet([0, 2]), "1 is missing")
        let alone = ProcessorNotes(
            addresses: [0: 0x1000], possible: NumberSet([0]), kernelNote: nil)
        #expect(alone.cpus(at: [0x1000, 0x2000]) == NumberSet([0]), "no number is left")
    }

    /// A number is given out once, also where the notes of each NUMA node are elsewhere.
    @Test func numbersCPUsOfAllNodesThatAreGone() {
        let notes = ProcessorNotes(
            addresses: [0: 0x10_0000, 1: 0x18_0000, 4: 0x910_0000], possible: NumberSet(Set(0..<8)),
            kernelNote: nil)
        // CPU 2 by its distance, 5 and 6 by their order; none is left for the second note of CPU 2.
        let listed: [UInt64] = [0x10_0000, 0x20_0000, 0x910_0000, 0x910_8000, 0x911_0000]
        #expect(notes.cpus(at: listed) == NumberSet([0, 2, 4, 5, 6]))
        // After the last number come those that are free before it.
        let many: [UInt64] = [0x910_0000, 0x921, 0x922, 0x923, 0x924, 0x925, 0x926]
        #expect(notes.cpus(at: many) == NumberSet([2, 3, 4, 5, 6, 7]))
    }

    @Test func readsNotes() throws {
        let machine = try RecordedMachine([
            "/sys/devices/system/cpu/possible": "0-3\n",
            "/sys/devices/system/cpu/cpu0/crash_notes": "3fc3d800\n",
            "/sys/devices/system/cpu/cpu0/crash_notes_size": "424\n",
            "/sys/devices/system/cpu/cpu2/crash_notes": "3fd3d800\n",
            "/sys/kernel/vmcoreinfo": "0x000000003fd4c000 1024\n",
        ])
        var notes = ProcessorNotes(
            addresses: [0: 0x3FC3_D800, 2: 0x3FD3_D800], possible: NumberSet([0, 1, 2, 3]),
            kernelNote: 0x3FD4_C000)
        // The one is written in decimal, the other in hexadecimal.
        (notes.noteSize, notes.kernelNoteSize) = (424, 0x1024)
        let read = try ProcessorNotes.read(of: NumberSet([0, 1, 2]), below: machine.root)
        #expect(read == .known(notes))
        let none = try ProcessorNotes.read(of: NumberSet([7]), below: machine.root)
        #expect(none.value == nil)
    }

    @Test func findsOfflineBlocks() throws {
        let machine = try RecordedMachine([
            "/sys/devices/system/memory/block_size_bytes": "8000000\n",
            "/sys/devices/system/memory/memory32/state": "online\n",
            "/sys/devices/system/memory/memory33/state": "offline\n",
        ])
        let dimm = AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000)
        let blocks = try #require(try MemoryBlocks(below: machine.root))
        let offline = try blocks.offline(in: AddressRanges([dimm]))
        #expect(offline.ranges == [AddressRange(start: 0x1_0800_0000, end: 0x1_1000_0000)])
        let part = AddressRange(start: 0x1_0900_0000, end: 0x1_0A00_0000)
        #expect(try blocks.offline(in: AddressRanges([part])).ranges == [part])
        #expect(blocks.absent(in: AddressRanges([dimm, part])).isEmpty)
        let end = AddressRange(start: .max - 4096, end: .max)
        #expect(blocks.absent(in: AddressRanges([end])).isEmpty, "no machine has such a block")
        try machine.remove("/sys/devices/system/memory/block_size_bytes")
        #expect(try MemoryBlocks(below: machine.root) == nil, "no memory can be taken out of use")
    }

    /// The blocks of a DIMM come after its RAM, and go before it.
    @Test func countsWhatIsInNoBlockAsNotInUse() throws {
        let machine = try RecordedMachine([
            "/sys/devices/system/memory/block_size_bytes": "8000000\n",
            "/sys/devices/system/memory/memory32/state": "online\n",
        ])
        let blocks = try #require(try MemoryBlocks(below: machine.root))
        let dimm = AddressRanges([AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000)])
        let second = [AddressRange(start: 0x1_0800_0000, end: 0x1_1000_0000)]
        #expect(try blocks.offline(in: dimm).ranges == second)
        #expect(blocks.absent(in: dimm).ranges == second)
        // Two ranges in one block.
        let halves = AddressRanges([
            AddressRange(start: 0x1_0800_0000, end: 0x1_0900_0000),
            AddressRange(start: 0x1_0A00_0000, end: 0x1_0B00_0000),
        ])
        #expect(blocks.absent(in: halves) == halves)
        // A kernel that shows none does not say that nothing is in use.
        try machine.remove("/sys/devices/system/memory/memory32")
        #expect(try MemoryBlocks(below: machine.root) == nil)
    }

    @Test func doesNotMissOfflineMemory() {
        let dimm = AddressRanges([AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000)])
        let half = AddressRanges([AddressRange(start: 0x1_0800_0000, end: 0x1_1000_0000)])
        let live = LiveSystem(ram: dimm, cpus: NumberSet([0]))
        let described = LiveSystem(ram: AddressRanges(), cpus: NumberSet([0]))
        #expect(Coverage(live: live, described: described, offline: dimm).isExact)
        let coverage = Coverage(live: live, described: described, offline: half)
        #expect(coverage.missingMemory.byteCount == 0x800_0000 && coverage.losesAnything)
    }

    @Test func knowsPlacesForMemory() throws {
        let machine = try RecordedMachine([:])
        #expect(try HotplugMemory(of: machine.root).isPossible == false)
        try machine.write("0\n", to: "/sys/bus/acpi/devices/PNP0C80:00/status")
        try machine.write("15\n", to: "/sys/bus/acpi/devices/PNP0A08:00/status")
        #expect(
            try HotplugMemory(of: machine.root)
                == HotplugMemory(isPossible: true, isPresent: false))
        try machine.write("15\n", to: "/sys/bus/acpi/devices/PNP0C80:01/status")
        #expect(
            try HotplugMemory(of: machine.root)
                == HotplugMemory(isPossible: true, isPresent: true))
    }
}
