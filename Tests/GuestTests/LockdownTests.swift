// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Proves what guests in lockdown are good for, without the daemon.
    @Suite struct LockdownTests {
        private let loaded = "cat /sys/kernel/kexec_crash_loaded"

        private static let levels = [
            (Kernel.v6_1, Lockdown.confidentiality), (.v7, .integrity), (.v6_12, .integrity),
        ]

        @Test(arguments: Cell.isFull ? levels : Array(levels.prefix(2)))
        func `an image loaded before the lockdown stays and dumps`(
            kernel: Kernel, level: Lockdown
        ) throws {
            let guest = try guest(kernel, .booted)
            try guest.loadCrashKernel()
            #expect(try guest.run("head -c 1 /proc/kcore").status == 0)
            try guest.lockDown(level)
            let readable = try guest.run("head -c 1 /proc/kcore").status == 0
            #expect(readable == (level == .integrity))
            #expect(throws: GuestError.self) { try guest.loadCrashKernel(systemCall: "-c") }
            #expect(try guest.expect(loaded) == "1")
            #expect(throws: GuestError.self) { try guest.lockDown(.integrity) }
            #expect(try crash(guest).processors == 2)
        }

        @Test(arguments: Cell.isFull ? Kernel.all : [.v6_1])
        func `a load refused by the lockdown costs the loaded image`(kernel: Kernel) throws {
            let guest = try guest(kernel, .booted)
            try guest.loadCrashKernel()
            try guest.lockDown(.integrity)
            #expect(try guest.expect(loaded) == "1")
            let load = "kexec -s -p /boot/vmlinuz-$(uname -r) --command-line=x"
            #expect(try guest.run(load).output.contains("Operation not permitted"))
            #expect(try guest.expect(loaded) == "0")
        }

        @Test(arguments: [Lockdown.integrity, .confidentiality])
        func `on 6.1 nothing can be loaded after a boot into lockdown`(level: Lockdown) throws {
            var settings = MachineSettings(.v6_1)
            settings.commandLine = "lockdown=\(level.rawValue)"
            let guest = try boot(settings)
            for call in ["-s", "-c"] {
                #expect(throws: GuestError.self) { try guest.loadCrashKernel(systemCall: call) }
            }
            #expect(try guest.expect(loaded) == "0")
        }
    }
}
