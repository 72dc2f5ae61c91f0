// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Core headers, and what they say of a machine.
@Suite struct LoadedHeaderTests {
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

/// The table of regions and the digest.
@Suite struct LoadedDigestTests {
    static let reserved = AddressRanges([AddressRange(start: 0x3300_0000, end: 0x3F00_0000)])

    /// FIPS 180-2, appendix B.
    @Test func makesTheStandardsDigests() throws {
        let digest = try Digest()
        try digest.add([])
        try digest.add(Array("ab".utf8))
        try digest.add(Array("c".utf8))
        #expect(
            try digest.finish()
                == RealImages.bytes(
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    }

    /// The neighbourhood of the table in purgatories of real 6.12 guests, of either loader.
    @Test func findsRealTables() throws {
        let kernels = RegionTable.candidates(
            in: RealImages.kernelPurgatory, within: LoadedDigestTests.reserved)
        #expect(kernels.count == 1 && kernels.first?.regions.count == 3)
        let programs = RegionTable.candidates(
            in: RealImages.programPurgatory, within: LoadedDigestTests.reserved)
        #expect(programs.count == 1 && programs.first?.regions.count == 6)
    }

    @Test func refusesWhatIsNone() {
        let whole = RealImages.kernelPurgatory
        for length in 0..<whole.count {
            let cut = Array(whole[..<length])
            let found = RegionTable.candidates(in: cut, within: LoadedDigestTests.reserved)
            #expect(found.allSatisfy { $0.offset + RegionTable.byteCount <= length })
        }
        #expect(RegionTable.candidates(in: whole, within: AddressRanges()).isEmpty)
        let zeros = [UInt8](repeating: 0, count: 8192)
        #expect(RegionTable.candidates(in: zeros, within: LoadedDigestTests.reserved).isEmpty)
    }

    @Test func refusesOverlaps() {
        var bytes: [UInt8] = []
        for number in [0x3400_0000, 0x2000, 0x3400_1000, 0x2000] {
            bytes.append(littleEndian: UInt64(number))
        }
        bytes += [UInt8](repeating: 0, count: 256 - bytes.count)
        #expect(RegionTable.candidates(in: bytes, within: LoadedDigestTests.reserved).isEmpty)
    }
}

/// x86's boot parameters and the address in a command line.
@Suite struct LoadedCommandLineTests {
    @Test(arguments: [
        ("elfcorehdr=0x33000000 quiet", 0x3300_0000), ("quiet elfcorehdr=1031540K", 0x3EF5_D000),
        ("elfcorehdr=16k", 0x4000), ("elfcorehdr=1M elfcorehdr=2M", 0x20_0000),
        ("elfcorehdr=4096@0x5000", 0x5000), ("elfcorehdr=1G", 0x4000_0000),
        ("elfcorehdr=77", 77),
    ])
    func findsTheAddress(line: String, address: UInt64) {
        #expect(ResidentCommandLine.coreHeader(in: line) == address)
    }

    @Test(arguments: ["", "quiet", "elfcorehdr=", "elfcorehdr=K", "elfcorehdr=0x", "xelfcorehdr=1"])
    func findsNone(line: String) {
        #expect(ResidentCommandLine.coreHeader(in: line) == nil)
    }

    @Test func needsTheWholeHeader() {
        var bytes = [UInt8](repeating: 0, count: X86SetupHeader.byteCount)
        #expect(X86SetupHeader(bytes) == nil)
        bytes.set(UInt32(0x5372_6448), at: 0x202)
        bytes.set(UInt16(0x020C), at: 0x206)
        bytes.set(UInt32(0x1000), at: 0x228)
        bytes.set(UInt32(1), at: 0xC8)
        #expect(X86SetupHeader(bytes)?.bootData?.commandLine == 0x1_0000_1000)
        bytes.set(UInt16(0x020B), at: 0x206)
        #expect(X86SetupHeader(bytes) == nil)
    }

    @Test func asksForWhatTheMachineNeeds() {
        let line = "console=ttyS0 irqpoll"
        let none = HotplugMemory(isPossible: false, isPresent: false)
        #expect(CaptureNeed.lacking(in: line, on: none).isEmpty)
        let empty = HotplugMemory(isPossible: true, isPresent: false)
        #expect(CaptureNeed.lacking(in: line, on: empty).map(\.urgency) == [.soon])
        let full = HotplugMemory(isPossible: true, isPresent: true)
        #expect(CaptureNeed.lacking(in: line, on: full).map(\.urgency) == [.now])
        #expect(CaptureNeed.lacking(in: "a acpi_no_memhotplug b", on: full).isEmpty)
        #expect(!CaptureNeed.lacking(in: "acpi_no_memhotplug2", on: full).isEmpty)
    }
}
