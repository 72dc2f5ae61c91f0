// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// New core headers from old ones: what hotplug changes is new, all else is kept byte for byte.
@Suite struct HeaderPlanTests {
    private static let ram = AddressRanges([
        AddressRange(start: 0x10_0000, end: 0x3300_0000),
        AddressRange(start: 0x3F00_0000, end: 0x3FFD_6000),
    ])
    private static let dimm = AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000)
    private static let notes = ProcessorNotes(
        addresses: [0: 0x3FC3_D800, 1: 0x3FCB_D800], possible: NumberSet([0, 1, 2, 3]),
        kernelNote: 0x3FD7_C000)

    private func plan(
        _ bytes: [UInt8], ram: AddressRanges = ram, notes: ProcessorNotes = notes
    ) throws -> CoreHeader {
        let live = LiveSystem(ram: ram, cpus: NumberSet(Set(notes.addresses.keys)))
        return try HeaderPlan(
            old: CoreHeader(bytes), live: live, notes: notes,
            kept: Architecture.x86.ramOutsideDumps
        ).header()
    }

    /// Ends of RAM as the headers have them.
    private func describedRAM(_ bytes: [UInt8]) throws -> AddressRanges {
        CoreDescription(of: try CoreHeader(bytes), kernelNote: 0x3FD7_C000).ram
    }

    @Test(arguments: [RealImages.kernelHeader, RealImages.programHeader])
    func changesNothingForTheSameMachine(bytes: [UInt8]) throws {
        let header = try plan(bytes, ram: describedRAM(bytes))
        #expect(header.encoded() == Array(bytes[..<header.byteCount]))
    }

    @Test(arguments: [RealImages.kernelHeader, RealImages.programHeader])
    func addsAndRemovesRAM(bytes: [UInt8]) throws {
        let before = try describedRAM(bytes)
        let header = try plan(bytes, ram: before.union(AddressRanges([HeaderPlanTests.dimm])))
        let old = try CoreHeader(bytes)
        #expect(header.entries.dropLast() == old.entries[...])
        let last = try #require(header.entries.last)
        #expect(last.range == HeaderPlanTests.dimm && last.offset == last.physical)
        let form = try #require(old.entries.last)
        #expect(last.virtual &- last.physical == form.virtual &- form.physical)
        #expect(last.fileSize == last.memorySize && last.flags == form.flags)
        let again = try plan(header.encoded(), ram: before)
        #expect(again.encoded() == old.encoded())
    }

    @Test func addsAndRemovesCPUsWhereOnlyThePresentAreListed() throws {
        let ram = try describedRAM(RealImages.programHeader)
        var more = HeaderPlanTests.notes.addresses
        more[2] = 0x3FD3_D800
        let notes = ProcessorNotes(
            addresses: more, possible: HeaderPlanTests.notes.possible, kernelNote: 0x3FD7_C000)
        let header = try plan(RealImages.programHeader, ram: ram, notes: notes)
        let said = CoreDescription(of: header, kernelNote: 0x3FD7_C000)
        #expect(said.cpuNotes == [0x3FC3_D800, 0x3FCB_D800, 0x3FD3_D800])
        let first = try #require(header.entries.first)
        #expect(header.entries[2].memorySize == first.memorySize)
        #expect(header.entries[2].offset == 0x3FD3_D800)
        let again = try plan(header.encoded(), ram: ram)
        #expect(try again.encoded() == CoreHeader(RealImages.programHeader).encoded())
    }

    @Test func keepsTheNotesOfAllPossibleCPUs() throws {
        var more = HeaderPlanTests.notes.addresses
        more[2] = 0x3FD3_D800
        let notes = ProcessorNotes(
            addresses: more, possible: HeaderPlanTests.notes.possible, kernelNote: 0x3FD7_C000)
        let ram = try describedRAM(RealImages.kernelHeader)
        let header = try plan(RealImages.kernelHeader, ram: ram, notes: notes)
        #expect(try header == CoreHeader(RealImages.kernelHeader))
    }

    @Test func keepsTheFirstMegabyteAsItWas() throws {
        var old = try CoreHeader(RealImages.kernelHeader)
        var low = try #require(old.entries.last)
        let distance = low.virtual &- low.physical
        low.physical = 0x1000
        low.offset = 0x1000
        low.virtual = distance &+ 0x1000
        low.fileSize = 0x9_E000
        low.memorySize = 0x9_E000
        old.entries.insert(low, at: 6)
        let header = try plan(old.encoded(), ram: try describedRAM(RealImages.kernelHeader))
        #expect(header.encoded() == old.encoded())
    }

    @Test func refusesWhatItCannotDescribe() throws {
        var old = try CoreHeader(RealImages.programHeader)
        let notes = HeaderPlanTests.notes
        let live = LiveSystem(ram: HeaderPlanTests.ram, cpus: NumberSet([0, 1, 2]))
        #expect(
            throws: PatchObstacle.machineNotKnown(
                because: "CPU 2 reports no address of its crash note")
        ) { try HeaderPlan(old: old, live: live, notes: notes, kept: AddressRanges()).header() }
        old.entries.removeAll { $0.kind == .memory }
        #expect(throws: PatchObstacle.self) {
            try HeaderPlan(old: old, live: live, notes: notes, kept: AddressRanges()).header()
        }
        old.entries = []
        #expect(throws: PatchObstacle.self) {
            try HeaderPlan(old: old, live: live, notes: notes, kept: AddressRanges()).header()
        }
    }
}
