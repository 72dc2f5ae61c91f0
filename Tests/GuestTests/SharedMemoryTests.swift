// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Proves that tests see a guest's real memory from outside, and that what they do to it counts.
    ///
    /// The control of every test that damages a crash image: undamaged, the same image dumps.
    @Suite struct SharedMemoryTests {
        @Test(arguments: [false, true])
        func `on 6.1 one flipped byte of the image costs the dump`(damaged: Bool) throws {
            let guest = try guest(.v6_1, .booted) { $0.sharesMemory = true }
            #expect(throws: GuestError.self) { try guest.memory(at: (1 << 30) - 1, count: 2) }
            let start = try #require(try guest.reservedMemory().first?.lowerBound)
            #expect(try guest.memory(at: start, count: 4) == [0, 0, 0, 0])
            try guest.loadCrashKernel()
            let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]
            // The kernel's own loader puts the core header, an ELF file, first.
            #expect(try guest.memory(at: start, count: 4) == magic)
            guard damaged else {
                #expect(try crash(guest).processors == 2)
                #expect(guest.console.contains("Linux version"))
                return
            }
            // Padding of the ELF header: nothing but the digest is wrong then.
            let before = try guest.memory(at: start + 15, count: 1)
            #expect(before == [0])
            try guest.overwrite(at: start + 15, with: [1])
            #expect(try guest.memory(at: start, count: 16).last == 1)
            #expect(try guest.memory(at: start, count: 4) == magic)
            // Purgatory finds it, and hangs for ever; undamaged the dump takes a third of this time.
            #expect(throws: GuestError.self) { try guest.crash(within: .seconds(30)) }
            #expect(guest.console.contains("sysrq: Trigger a crash"))
            // The guest was resumed: its console has no kernel's beginning but the capture kernel's.
            #expect(!guest.console.contains("Linux version"), "no second kernel")
        }
    }
}
