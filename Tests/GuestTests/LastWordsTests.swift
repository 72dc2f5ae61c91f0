// SPDX-License-Identifier: Apache-2.0

import Testing

extension GuestTests {
    /// What a crashing machine says of itself is found among what its console said before; no guest.
    @Suite struct LastWordsTests {
        private static let console = [
            "[    1.0] smpboot: CPU 2 is now online and well",
            "[    2.0] last words: ram 00100000-07ffffff online 0-7ffffff cpus 0",
            "[    2.1] last words: ram 00100000-07ffffff,100000000-107ffffff "
                + "online 0-7ffffff,100000000-107ffffff cpus 0-1,3",
            "[    2.2] sysrq: Trigger a crash",
            "[    2.3] Dumping ftrace buffer:",
            "[    2.4]    kexec-313   1..... 33608281us : taken_do_kexec_load: (do_kexec_load+0x0/0x280)",
        ]

        @Test(arguments: ["\n", "\r\n"])
        func `the last of them count, however lines end`(end: String) throws {
            let console = Self.console.map { $0 + end }.joined()
            let words = try #require(LastWords(in: console))
            #expect(words.ram == [0x10_0000..<0x800_0000, 0x1_0000_0000..<0x1_0800_0000])
            #expect(words.online == [0..<0x800_0000, 0x1_0000_0000..<0x1_0800_0000])
            #expect(words.processors == 3)
            #expect(LastWords.holder(in: console) == "do_kexec_load")
        }
    }
}
