// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Core headers, and what they say of a machine.
@Suite struct CoreHeaderTests {
    @Test func keepsEveryBit() throws {
        var generator = Repeatable(5)
        for _ in 0..<200 {
            // Everything may be anything, but for what makes it a header.
            var bytes = LoadedMachine.coreHeader()
            let kept = [0..<7, 16..<18, 32..<40, 54..<58]
            for place in bytes.indices where !kept.contains(where: { $0.contains(place) }) {
                bytes[place] = .random(in: 0...255, using: &generator)
            }
            let header = try CoreHeader(bytes + [1, 2, 3])
            #expect(header.encoded() == bytes && header.byteCount == bytes.count)
        }
    }

    @Test func countsItsEntries() throws {
        var header = try CoreHeader(LoadedMachine.coreHeader())
        header.entries.removeLast(2)
        let again = try CoreHeader(header.encoded())
        #expect(again.entries == header.entries && again.byteCount == 64 + 4 * 56)
    }

    @Test func refusesWhatIsNone() {
        let whole = LoadedMachine.coreHeader()
        for length in 0..<whole.count {
            #expect(throws: CoreHeader.Flaw.short, "cut at \(length)") {
                try CoreHeader(Array(whole[..<length]))
            }
        }
        for place in [0, 4, 5, 6, 16, 32, 54] {
            var bytes = whole
            bytes[place] ^= 0xFF
            #expect(throws: CoreHeader.Flaw.noCore) { try CoreHeader(bytes) }
        }
        var bytes = whole
        bytes.set(UInt16.max, at: 56)
        #expect(throws: CoreHeader.Flaw.noCore) { try CoreHeader(bytes) }
    }

    @Test func saysWhatAKernelsHeaderMeans() throws {
        let header = try CoreHeader(LoadedMachine.coreHeader())
        for note in [LoadedMachine.kernelNote, nil] {
            let said = CoreDescription(of: header, kernelNote: note)
            #expect(
                said.ram.ranges == [
                    AddressRange(start: 0x10_0000, end: LoadedMachine.reserved.start),
                    AddressRange(start: LoadedMachine.reserved.end, end: 0x4000_0000),
                ])
            #expect(said.cpuNotes == LoadedMachine.notes.values.sorted())
            #expect(said.kernelNote?.physical == LoadedMachine.kernelNote)
            #expect(said.special.map(\.physical) == [0x100_0000], "the kernel's text")
            #expect(said.directMap == 0xFFFF_8880_0000_0000)
        }
    }

    /// kexec-tools' header of a real 6.12 guest, with its backup of the first 640 KiB.
    @Test func saysWhatARealHeaderMeans() throws {
        let header = try CoreHeader(RealImages.programHeader)
        #expect(header.encoded() == RealImages.programHeader)
        let said = CoreDescription(of: header, kernelNote: nil)
        #expect(said.cpuNotes.count == 2 && said.special.count == 2)
        #expect(said.special.filter { $0.offset != $0.physical }.map(\.physical) == [0x1000])
        #expect(
            said.ram.ranges == [
                AddressRange(start: 0x10_0000, end: 0x3300_0000),
                AddressRange(start: 0x3F00_0000, end: 0x3FFD_6000),
            ])
    }

    /// The kernel's own header of a real 6.12 guest: a note for each of four possible CPUs.
    @Test func saysWhatARealKernelsHeaderMeans() throws {
        let header = try CoreHeader(RealImages.kernelHeader)
        #expect(header.encoded() == RealImages.kernelHeader)
        let said = CoreDescription(of: header, kernelNote: nil)
        #expect(said.cpuNotes.count == 4 && said.special.count == 1)
        #expect(said.ram.byteCount == 0x32F0_0000 + 0xFD_6000)
    }

    @Test func survivesDamage() {
        var generator = Repeatable(9)
        for _ in 0..<1000 {
            let bytes = RealImages.programHeader.flipped(6, using: &generator)
            guard let header = try? CoreHeader(bytes) else { continue }
            _ = CoreDescription(of: header, kernelNote: 0)
        }
    }
}
