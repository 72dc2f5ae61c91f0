// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Whatever is wrong is said in one sentence, and the image in place stays.
    @Suite struct BadInputTests {
        /// A setting that no reload can use, and the words that must name it.
        private struct Fault {
            let name: String
            var kernel = "/boot/vmlinuz-$(uname -r)"
            var initrd = GuestImage.captureInitrd
            let words: String
        }

        private let faults = [
            Fault(
                name: "missing kernel", kernel: "/boot/none",
                words: "the kernel /boot/none cannot be read (No such file or directory)"),
            Fault(
                name: "empty kernel", kernel: "/run/empty", words: "the kernel /run/empty is empty"),
            Fault(
                name: "no kernel", kernel: "/usr/bin/bash",
                words: "/usr/bin/bash is not a kernel image"),
            Fault(
                name: "unreadable initrd", initrd: "/run/none",
                words: "the initrd /run/none cannot be read (No such file or directory)"),
            Fault(
                name: "directory as initrd", initrd: "/run",
                words: "the initrd /run is not a regular file"),
            Fault(
                name: "huge initrd", initrd: "/run/huge",
                words: "and crashkernel= reserves only 192 MiB"),
        ]

        @Test func `on 6.1 the image stays, whatever is wrong, and still dumps`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.expect(": >/run/empty; truncate -s 300M /run/huge")
            try guest.traceLoads()
            for fault in faults {
                try guest.configureDaemon(
                    kernel: fault.kernel, initrd: fault.initrd, patches: false)
                try guest.startDaemon()
                try expect(guest, level: 1, words: fault.words, fault.name)
            }
            // Now the machine changes, and nothing can be done about it.
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntil("systemctl show -P StatusText kdump-hotplugd | grep -q 'CPU 2'")
            try expect(
                guest, level: 2, words: "crash now loses CPU 2; it cannot be reloaded", "hotplug")
            try guest.configureDaemon()
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try guest.loads() == 1, "one load, when it was possible again")
            try expectRefusals(guest)
            #expect(try crash(guest).processors == 3)
        }

        /// What the kernel and the rights of the caller forbid.
        private func expectRefusals(_ guest: Machine) throws {
            let user = try guest.run("setpriv --reuid=65534 kdump-hotplugd")
            #expect(user.status == 77)
            #expect(
                user.output
                    == "kdump-hotplugd: the daemon must run as root: start kdump-hotplugd.service\n"
            )
            let wrong = try guest.run("kdump-hotplugd --initrd /run/none")
            #expect(wrong.status == 64)
            #expect(wrong.output.contains("is set without a kernel"))
            try guest.expect("sysctl -q kernel.kexec_load_disabled=1")
            try guest.reloadDaemon()
            try expect(guest, level: 1, words: "kernel.kexec_load_disabled is 1", "disabled")
            #expect(try guest.loads() == 1)
        }

        /// One sentence in probe, status and journal; the exit code; the image still there.
        private func expect(
            _ guest: Machine, level: Int, words: String, _ name: String
        ) throws {
            let check = try guest.check()
            #expect(check.status == level, "\(name): \(check.output)")
            let first = check.output.split(separator: "\n").first ?? ""
            #expect(first.contains(words), "\(name): \(check.output)")
            let status = try guest.daemonStatus()
            #expect(status.contains(words), "\(name): \(status)")
            #expect(try guest.daemonJournal().contains(words), "\(name)")
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1", "\(name)")
        }

        @Test func `without crashkernel= the daemon idles and says how to change that`() throws {
            let guest = try guest(.v6_1, .installed) { $0.crashkernel = nil }
            try guest.startDaemon()
            try guest.hotAddCPU(socket: 2)
            let words = "no memory is reserved for a crash kernel; add crashkernel=256M or more"
            let check = try guest.check()
            #expect(check.status == 2)
            #expect(check.output.contains(words))
            #expect(try guest.daemonStatus().contains(words))
            #expect(try guest.expect("systemctl is-active kdump-hotplugd") == "active")
        }
    }
}
