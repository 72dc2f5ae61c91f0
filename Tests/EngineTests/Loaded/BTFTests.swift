// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Type information as compilers write it, as a real kernel shows it, and damaged.
@Suite struct BTFTests {
    @Test func findsMembersOfEveryKind() throws {
        let types = try BTF(btf: SyntheticTypes.kernel())
        let image = try #require(StructureLayout("kimage", in: types))
        #expect(image.size == SyntheticKimage.size)
        #expect(image.field("start") == Field(bitOffset: 8 * SyntheticKimage.entry, bitSize: 64))
        let bits = (SyntheticKimage.size - 8) * 8
        #expect(image.field("file_mode") == Field(bitOffset: bits + 2, bitSize: 1))
        #expect(image.field("hotplug_support") == Field(bitOffset: bits + 3, bitSize: 1))
        let (offset, count, segment) = try #require(image.array("segment"))
        #expect(offset == SyntheticKimage.segments && count == 16 && segment.size == 32)
        #expect(segment.field("kbuf") == Field(bitOffset: 0, bitSize: 64), "inside a union")
        #expect(segment.field("bufsz") == Field(bitOffset: 64, bitSize: 64), "a const size_t")
        #expect(image.field("segment") == nil && image.array("start") == nil)
        #expect(image.field("no_such_member") == nil)
        #expect(StructureLayout("no_such_structure", in: types) == nil)
    }

    @Test func readsFieldsOfAnySize() {
        let bytes: [UInt8] = [0x34, 0x12, 0xFF, 0x80, 0x01, 0, 0, 0, 0xAB]
        #expect(Field(bitOffset: 0, bitSize: 16).value(in: bytes) == 0x1234)
        #expect(Field(bitOffset: 31, bitSize: 2).value(in: bytes) == 0b11)
        #expect(Field(bitOffset: 4, bitSize: 64).value(in: bytes) == 0xB000_0000_180F_F123)
        #expect(Field(bitOffset: 8, bitSize: 64).value(in: bytes) == 0xAB00_0000_0180_FF12)
        #expect(Field(bitOffset: 16, bitSize: 64).value(in: bytes) == nil)
        #expect(Field(bitOffset: 0, bitSize: 0).value(in: bytes) == nil)
    }

    @Test func knowsOldAndNewKernels() throws {
        let since610 = Kimage.Layout(in: try BTF(btf: SyntheticTypes.kernel()))
        #expect(since610?.hotplugSupport != nil && since610?.headerUpdate == nil)
        let since66 = Kimage.Layout(
            in: try BTF(btf: SyntheticTypes.kernel(keepsUp: "update_elfcorehdr")))
        #expect(since66?.hotplugSupport == nil && since66?.headerUpdate != nil)
        let before = Kimage.Layout(
            in: try BTF(btf: SyntheticTypes.kernel(keepsUp: nil)))
        #expect(before != nil && before?.hotplugSupport == nil && before?.headerUpdate == nil)
    }

    /// This machine's own kernel, where it has type information.
    @Test func readsARealKernel() throws {
        guard let file = try? KernelFile("/sys/kernel/btf/vmlinux", below: SystemRoot()) else {
            return
        }
        let types = try BTF(btf: try file.contents(atMost: 64 << 20))
        let list = try #require(StructureLayout("list_head", in: types))
        #expect(list.size == 16)
        #expect(list.field("prev") == Field(bitOffset: 64, bitSize: 64))
        let page = try #require(StructureLayout("page", in: types))
        #expect(page.field("flags") == Field(bitOffset: 0, bitSize: 64) || page.size == 64)
        #expect(page.field("_refcount") == nil, "a structure, not a number")
    }

    @Test func survivesEveryCut() {
        let whole = SyntheticTypes.kernel()
        for length in 0..<whole.count {
            #expect(throws: BTF.Flaw.self, "cut at \(length)") {
                try BTF(btf: Array(whole[..<length]))
            }
        }
    }

    @Test func survivesDamage() {
        let whole = SyntheticTypes.kernel()
        var generator = Repeatable(1)
        for _ in 0..<1000 {
            guard let types = try? BTF(btf: whole.flipped(3, using: &generator)) else {
                continue
            }
            _ = Kimage.Layout(in: types)
        }
    }

    /// Anonymous members within themselves, and a name for itself, must not keep us for ever.
    @Test func survivesEndlessTypes() throws {
        var types = SyntheticTypes()
        let members = (0..<200).map { _ in
            SyntheticTypes.Member(name: "", type: 1, bitOffset: 0)
        }
        _ = types.structure("kimage", size: 8, members)
        let endless = try BTF(btf: types.bytes)
        #expect(StructureLayout("kimage", in: endless)?.field("start") == nil)
        var names = SyntheticTypes()
        let name = names.other(kind: 8, "endless", of: 1)
        _ = names.structure(
            "kimage", size: 8, [SyntheticTypes.Member(name: "start", type: name, bitOffset: 0)])
        let chain = try BTF(btf: names.bytes)
        #expect(StructureLayout("kimage", in: chain)?.field("start") == nil)
    }
}
