// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// `/proc/iomem` as kernels print it, as ordinary users see it, and damaged in every way.
@Suite struct MemoryMapTests {
    /// A 1 GiB guest with a hot-added DIMM, memory of a CXL device and a virtio-mem block.
    static let text = """
        00000000-00000fff : Reserved
        00001000-0009fbff : System RAM
        000a0000-000bffff : PCI Bus 0000:00
        00100000-3ffdefff : System RAM
          01000000-01ffffff : Kernel code
          31000000-3cffffff : Crash kernel
        fee00000-fee00fff : Local APIC
        100000000-10fffffff : System RAM
        200000000-2ffffffff : Soft Reserved
          200000000-23fffffff : dax0.0
            200000000-23fffffff : System RAM (kmem)
        300000000-307ffffff : virtio0
          300000000-307ffffff : System RAM (virtio_mem)

        """

    @Test func findsMemoryAtAnyDepth() throws {
        let map = try MemoryMap(iomem: MemoryMapTests.text)
        #expect(
            map.systemRAM.ranges == [
                AddressRange(start: 0x1000, end: 0x9FC00),
                AddressRange(start: 0x100000, end: 0x3FFD_F000),
                AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000),
                AddressRange(start: 0x2_0000_0000, end: 0x2_4000_0000),
                AddressRange(start: 0x3_0000_0000, end: 0x3_0800_0000),
            ])
        #expect(map.reserved == [AddressRange(start: 0x3100_0000, end: 0x3D00_0000)])
    }

    @Test func tellsZerosFromEmptiness() {
        let hidden = "00000000-00000000 : System RAM\n  00000000-00000000 : Crash kernel\n"
        #expect(throws: MemoryMap.Flaw.hidden) { try MemoryMap(iomem: hidden) }
        #expect(throws: MemoryMap.Flaw.noSystemRAM) {
            try MemoryMap(iomem: "00000000-00000fff : Reserved\n")
        }
    }

    /// Whatever is cut off is noticed, except that whole last lines may be missing: those cannot
    /// be told from a machine that has less, and the kernel gives whole texts.
    @Test func isNeverHalfRead() {
        for length in 0..<MemoryMapTests.text.utf8.count {
            let cut = String(
                decoding: Array(MemoryMapTests.text.utf8.prefix(length)), as: UTF8.self)
            let whole = cut.isEmpty || cut.hasSuffix("\n")
            let map = try? MemoryMap(iomem: cut)
            #expect((map != nil) == (whole && cut.contains("System RAM")), "cut at \(length)")
        }
    }

    @Test(arguments: [
        "nonsense", "1000-2000 System RAM", "1000 : System RAM", "2000-1000 : System RAM",
        "x-y : System RAM", "0-ffffffffffffffff : System RAM",
        "0-10000000000000000 : System RAM", "1000-2000: System RAM", "1000-2000 :System RAM",
    ])
    func refusesALineOfAnotherForm(line: String) {
        let text = "00001000-0009fbff : System RAM\n\(line)\n"
        #expect(throws: MemoryMap.Flaw.malformed(line: 2)) { try MemoryMap(iomem: text) }
    }

    @Test func namesThatOnlyBeginAlikeAreNotMemory() throws {
        let text = "1000-1fff : System RAM\n3000-3fff : System RAMdisk\n5000-5fff : Crash kernels\n"
        let map = try MemoryMap(iomem: text)
        #expect(map.systemRAM.byteCount == 0x1000)
        #expect(map.reserved.isEmpty)
    }
}
