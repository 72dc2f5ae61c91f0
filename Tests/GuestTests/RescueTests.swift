// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What keeps or brings back an image when a reload fails.
    @Suite struct RescueTests {
        /// An appraise policy is checked after the image was dropped, and it also forbids patches.
        @Test(arguments: [Loading.program, .kernel])
        func `on 6.1 files that a policy refuses cost nothing`(loading: Loading) throws {
            let guest = try guest(.v6_1, .loaded(loading))
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.expect(
                """
                mountpoint -q /sys/kernel/security ||
                mount -t securityfs securityfs /sys/kernel/security
                echo 'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig' \
                >/sys/kernel/security/ima/policy
                """)
            try guest.hotAddCPU(socket: 2)
            let words = "this machine refuses to load /boot/vmlinuz-.* (Permission denied)"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q '\(words)'")
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
            #expect(try guest.expect("cat /sys/kernel/kexec_loaded") == "0")
            let report = try guest.report()
            #expect(report.verdict == "CRITICAL" && report.integrity == "verified")
            #expect(report.obstacles.first?.hasPrefix("this machine refuses to load") == true)
            // It is known now, and not tried again.
            try guest.traceLoads()
            try guest.hotAddCPU(socket: 3)
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q 'loses CPUs 2-3'")
            #expect(try guest.loads(by: "kexec_file_load") == 0)
            #expect(try crash(guest).processors == 2, "the image in place still dumps")
        }

        /// What kexec_load made is tried once, in a quiet moment, and then needs no trial.
        @Test func `on 6.1 files are tried once in a boot`() throws {
            let guest = try guest(.v6_1, .loaded(.program))
            try guest.configureDaemon(patches: false)
            try guest.traceLoads()
            try guest.startDaemon()
            let loads = "grep -c 'sys_kexec_file_load(' /sys/kernel/tracing/trace"
            try guest.waitUntil("[ $(\(loads)) = 2 ]")
            try guest.waitUntilOK()
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_file_load") == 3, "a trial, its end, and the load")
            #expect(try guest.expect("cat /sys/kernel/kexec_loaded") == "0")
            // A restarted daemon knows it, and so it is by kexec_load.
            try guest.loadCrashKernel(systemCall: "-c")
            try guest.startDaemon()
            try guest.hotAddCPU(socket: 3)
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_file_load") == 4)
        }

        /// Nothing that the daemon can do loads anything: the distribution's own service is left.
        @Test func `on 6.1 the last way is the distribution's own service`() throws {
            let guest = try guest(.v6_1, .loaded(.distribution))
            try guest.configureDaemon(kernel: "/boot/none")
            try guest.spoilLoads(2)
            try guest.startDaemon()
            try guest.hotAddCPU(socket: 2)
            let words = "Restarting kdump-tools.service, the last way"
            try guest.waitUntil("journalctl -u kdump-hotplugd -p err | grep -q '\(words)'")
            try guest.waitUntil("grep -q 1 /sys/kernel/kexec_crash_loaded")
            try guest.waitUntil("kdump-hotplugd --check | grep -q 'integrity *verified'")
            try guest.waitUntil("systemctl show -P StatusText kdump-hotplugd | grep -q '^[^C]'")
            #expect(try crash(guest).processors == 3)
        }

        /// A patch, its replay, a reload and its check are one turn of the loop.
        ///
        /// Only the engine's signs of life, between the loads and in them, can then be in time.
        @Test func `on 6.1 no watchdog ends a chain of loads`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.spoilLoads(2)
            try guest.adjustService("WatchdogSec=8s")
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.slowLoads(bySeconds: 20)
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.expect("systemctl show -P NRestarts kdump-hotplugd") == "0")
            let journal = try guest.daemonJournal()
            #expect(journal.contains("Reloaded") && !journal.contains("Patched"), "\(journal)")
            #expect(try guest.report().integrity == "verified")
            #expect(try crash(guest).processors == 3)
        }

        /// systemd would abort the daemon, and a load that is aborted leaves nothing loaded.
        @Test func `on 6.1 no watchdog ends a slow load`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.configureDaemon(patches: false)
            try guest.prepareSlowness()
            try guest.adjustService("WatchdogSec=5s")
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.slowLoads(bySeconds: 15)
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.expect("systemctl show -P NRestarts kdump-hotplugd") == "0")
            #expect(try guest.daemonJournal().contains("Reloaded"))
            // It is on guard again.
            try guest.expect("kill -STOP $(systemctl show -P MainPID kdump-hotplugd)")
            try guest.waitUntil("[ $(systemctl show -P NRestarts kdump-hotplugd) -ge 1 ]")
        }
    }
}
