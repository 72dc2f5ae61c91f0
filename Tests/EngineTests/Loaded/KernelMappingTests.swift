// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Where the running kernel is, and which core headers cannot be right about that.
@Suite struct KernelMappingTests {
    private static let (direct, text) =
        (0xFFFF_0000_0000_0000, 0xFFFF_8000_0000_0000) as (UInt64, UInt64)
    private static let (low, high) = (0x4000_0000, 0x8000_0000) as (UInt64, UInt64)

    private static func entry(
        _ start: UInt64, _ size: UInt64, _ distance: UInt64
    ) -> CoreHeader.Entry {
        CoreHeader.Entry(
            type: 1, flags: 7, offset: start, virtual: start &+ distance, physical: start,
            fileSize: size, memorySize: size, alignment: 0)
    }

    private static let kcore = [
        entry(low, high - low, direct), entry(low + 0x20_0000, 0x100_0000, text),
        CoreHeader.Entry(
            type: 1, flags: 7, offset: 0x1000, virtual: 1 << 63, physical: .max, fileSize: 1 << 40,
            memorySize: 1 << 40, alignment: 0),
    ]

    private func flaw(_ entries: CoreHeader.Entry...) throws -> String? {
        let mapping = try #require(KernelMapping(KernelMappingTests.kcore))
        return mapping.flaw(of: CoreHeader(machine: 183, entries: entries))
    }

    @Test func isReadFromKcore() throws {
        let mapping = try #require(KernelMapping(KernelMappingTests.kcore))
        #expect(mapping.directMap == KernelMappingTests.direct)
        #expect(mapping.text == KernelMappingTests.kcore[1])
        #expect(KernelMapping([KernelMappingTests.kcore[0], KernelMappingTests.kcore[2]]) == nil)
        let other = KernelMappingTests.entry(0x5000_0000, 0x1000, 0)
        #expect(KernelMapping(KernelMappingTests.kcore + [other]) == nil)
        let outside = KernelMappingTests.entry(
            KernelMappingTests.high, 0x1000, KernelMappingTests.text)
        #expect(KernelMapping([KernelMappingTests.kcore[0], outside]) == nil)
    }

    @Test func rightHeadersAreRight() throws {
        let (low, direct, text) = (
            KernelMappingTests.low, KernelMappingTests.direct, KernelMappingTests.text
        )
        let ram = KernelMappingTests.entry(low, 0x3000_0000, direct)
        #expect(try flaw(ram, KernelMappingTests.kcore[1]) == nil)
        // kexec-tools begins where the code does, and gives it the address of what is before it.
        let code = KernelMappingTests.entry(low + 0x21_0000, 0xF0_0000, text - 0x1_0000)
        #expect(try flaw(code, ram) == nil)
        let gone = KernelMappingTests.entry(1 << 36, 0x1000_0000, direct)
        #expect(try flaw(ram, gone, KernelMappingTests.kcore[1]) == nil, "a phantom, and no more")
    }

    @Test func impossibleHeadersAreNoticed() throws {
        let (low, direct) = (KernelMappingTests.low, KernelMappingTests.direct)
        let ram = KernelMappingTests.entry(low, 0x3000_0000, direct)
        let words = "so the capture kernel will crash reading it"
        for text in [
            KernelMappingTests.entry(0x8000_B000_0000, 0xFFFF_8000_09BF_0000, 0),
            KernelMappingTests.entry(0x8000_B000_0000, 0x9BF_0000, 0),
            KernelMappingTests.entry(low + 0x20_0000, 0x4000_0000, KernelMappingTests.text),
            KernelMappingTests.entry(
                low, 0x1000, 0 &- KernelMappingTests.low &- 0x800),
        ] {
            #expect(try flaw(text, ram)?.contains("impossible range, \(words)") == true)
        }
        let flat = KernelMappingTests.entry(low, 0x3000_0000, 0)
        #expect(
            try flaw(flat, KernelMappingTests.kcore[1])?.contains(
                "impossible virtual addresses, \(words)") == true)
    }
}
