// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What cannot be looked at is called unknown, with its reason, and never judged.
    @Suite struct UnknownTests {
        @Test func `on 6.1 whatever hides the image is named`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            #expect(try guest.report().integrity == "verified")
            try expectUnknown(
                guest, "mount --bind /etc/hostname /sys/kernel/btf/vmlinux",
                "/sys/kernel/btf/vmlinux",
                undo: "umount /sys/kernel/btf/vmlinux")
            try expectUnknown(
                guest, "sysctl -q kernel.kptr_restrict=2", "kptr_restrict",
                undo: "sysctl -q kernel.kptr_restrict=1")
            #expect(try guest.report().integrity == "verified")
            let user = try guest.run("setpriv --reuid=65534 kdump-hotplugd --check")
            #expect(user.status == 3 && user.output.contains("only root can check"))
            try guest.lockDown(.integrity)
            #expect(try guest.report().integrity == "verified", "integrity hides nothing")
        }

        @Test func `on 6.12 confidentiality hides the image, and the kernel is believed`() throws {
            let guest = try guest(.v6_12, .loaded(.kernel))
            try guest.lockDown(.confidentiality)
            let report = try guest.report()
            #expect(report.verdict == "OK" && report.integrity == "unknown")
            #expect(report.summary.contains("this cannot be verified"))
            #expect(report.summary.contains("/proc/kcore"))
        }

        /// Where nothing can be loaded, nothing is: that is known, whatever else is hidden.
        @Test(arguments: [Lockdown.integrity, .confidentiality])
        func `on 6.1 a machine booted into lockdown is seen to be unprotected`(
            level: Lockdown
        ) throws {
            var settings = MachineSettings(.v6_1, payload: Machine.payload)
            settings.commandLine = "lockdown=\(level.rawValue)"
            let guest = try boot(settings)
            try guest.installDaemon()
            try guest.configureDaemon()
            try guest.startDaemon()
            let check = try guest.check()
            #expect(check.status == 2)
            #expect(check.output.contains("a crash now leaves no dump: no crash kernel is loaded"))
            #expect(try guest.daemonStatus().contains("no crash kernel is loaded"))
        }

        /// A locked-down kernel takes no patch, and refuses a kernel that it does not trust, as it
        /// trusts none here, only after it has dropped the image in place.
        @Test func `on 6.1 a lockdown costs no image`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.traceLoads()
            try guest.lockDown(.integrity)
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntil(
                "systemctl show -P StatusText kdump-hotplugd | grep -q 'refuses to load'")
            let check = try guest.check()
            #expect(check.status == 2)
            #expect(check.output.contains("a crash now loses CPU 2"))
            #expect(check.output.contains("locked down, which forbids kexec_load"))
            #expect(try guest.daemonStatus().contains("it is locked down): name files"))
            #expect(try guest.loads(by: "kexec_load") == 0)
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
            #expect(try crash(guest).processors == 2)
        }

        private func expectUnknown(
            _ guest: Machine, _ hide: String, _ word: String, undo: String
        ) throws {
            try guest.expect(hide)
            let report = try guest.report()
            #expect(report.verdict == "UNKNOWN" && report.integrity == "unknown", "\(hide)")
            #expect(report.summary.contains(word), "\(hide): \(report.summary)")
            try guest.expect(undo)
        }
    }
}
