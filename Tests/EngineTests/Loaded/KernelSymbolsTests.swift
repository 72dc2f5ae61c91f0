// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// `/proc/kallsyms` in parts of any size, hidden, and damaged.
@Suite struct KernelSymbolsTests {
    static let text = """
        ffffffff81000000 T _text
        ffffffff82f42050 b not_kexec_crash_image
        ffffffff82f42058 B kexec_crash_image
        ffffffff82f42060 B kexec_crash_image_other
        ffffffffc0000000 b kexec_image	[kexec_crash_image]
        ffffffffc0000010 b kexec_crash_image	[module]

        """

    private func find(
        _ name: String, in text: String, parts: Int
    ) -> KernelSymbols.Finding? {
        var search = KernelSymbols(searchingFor: name)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: parts) {
            let part = bytes[start..<min(start + parts, bytes.count)]
            if let finding = search.feed(part) { return finding }
        }
        return nil
    }

    @Test(arguments: [1, 2, 7, 40, 41, 4096]) func findsTheKernelsOwn(parts: Int) {
        let found = find("kexec_crash_image", in: KernelSymbolsTests.text, parts: parts)
        #expect(found == .address(0xFFFF_FFFF_82F4_2058))
        #expect(find("_text", in: KernelSymbolsTests.text, parts: parts) != nil)
        #expect(find("crash_image", in: KernelSymbolsTests.text, parts: parts) == nil)
    }

    @Test func tellsHiddenFromAbsent() {
        let hidden = "0000000000000000 B kexec_crash_image\n"
        #expect(find("kexec_crash_image", in: hidden, parts: 8) == .hidden)
        #expect(find("kexec_crash_image", in: "", parts: 8) == nil)
    }

    @Test(arguments: [
        "kexec_crash_image\n", "B kexec_crash_image\n", " B kexec_crash_image\n",
        "xyz B kexec_crash_image\n", "ffffffff82f42058BBkexec_crash_image\n",
        "ffffffff82f42058 B kexec_crash_image", "11112222333344445 B kexec_crash_image\n",
    ])
    func refusesOtherForms(text: String) {
        #expect(find("kexec_crash_image", in: text, parts: 4096) == nil)
    }

    @Test func dropsEndlessLines() {
        let endless = String(repeating: "f", count: 100_000)
        let text = endless + "\nffffffff82f42058 B kexec_crash_image\n"
        for parts in [10, 5000, 200_000] {
            let found = find("kexec_crash_image", in: text, parts: parts)
            #expect(found == .address(0xFFFF_FFFF_82F4_2058))
        }
    }

    @Test func saysWhyThereIsNoAddress() throws {
        let machine = try RecordedMachine(["/proc/kallsyms": KernelSymbolsTests.text])
        let name = "kexec_crash_image"
        #expect(
            try KernelSymbols.address(of: name, below: machine.root) == 0xFFFF_FFFF_82F4_2058)
        try machine.write("0000000000000000 B kexec_crash_image\n", to: "/proc/kallsyms")
        expect("kptr_restrict", below: machine.root)
        try machine.write("ffffffff81000000 T _text\n", to: "/proc/kallsyms")
        expect("KALLSYMS_ALL", below: machine.root)
        try machine.remove("/proc/kallsyms")
        expect("No such file", below: machine.root)
    }

    private func expect(_ words: String, below root: SystemRoot) {
        let error = failure { () throws(Unknowable) in
            try KernelSymbols.address(of: "kexec_crash_image", below: root)
        }
        #expect(error?.reason.contains(words) == true)
    }
}
