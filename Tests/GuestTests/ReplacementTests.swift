// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// An image that was loaded by hand is not what the settings name, and that is said beforehand.
    @Suite struct ReplacementTests {
        @Test(arguments: ["-s", "-c"])
        func `on 6.1 another kernel than the loaded one is named before it is loaded`(
            systemCall: String
        ) throws {
            let guest = try guest(.v6_1, .installed)
            try guest.configureDaemon(patches: false)
            let configured = try guest.expect("uname -r")
            let kernels = try guest.expect("ls /boot/vmlinuz-*").split(separator: "\n")
            let path = try #require(kernels.first { !$0.hasSuffix(configured) })
            let loaded = String(path.dropFirst("/boot/vmlinuz-".count))
            try guest.expect(
                """
                kexec \(systemCall) -p \(path) --initrd=\(GuestImage.captureInitrd) \
                --command-line='\(Machine.captureCommandLine)'
                """)
            try guest.startDaemon()
            let words = "another kernel (\(configured) instead of \(loaded))"
            let report = try guest.report()
            #expect(report.verdict == "WARNING", "\(report.summary)")
            #expect(report.summary.contains("it is replaced by \(words)"), "\(report.summary)")
            #expect(try guest.check().output.contains("; it is \(words)"))
            #expect(try guest.daemonJournal().contains(words))
            // A patch keeps it, so there is nothing to warn of.
            try guest.configureDaemon()
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try guest.check().output.contains("; it is \(words)"))
            try guest.configureDaemon(patches: false)
            try guest.startDaemon()
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.daemonJournal().contains("unprotected) with \(words)"))
            #expect(try !guest.check().output.contains("; it is "))
            #expect(try crash(guest).processors == 3)
        }
    }
}
