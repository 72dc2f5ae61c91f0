// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// The daemon beside others who load and unload crash kernels: administrators and kdump-tools.
    @Suite struct CompanyTests {
        /// A machine as Debian makes it, with the daemon and nothing configured for it but `settings`.
        private func company(_ settings: String = "") throws -> Machine {
            let guest = try boot(MachineSettings(.v6_1, payload: Machine.payload))
            try guest.installDaemon()
            try guest.expect("printf '\(settings)' >/etc/default/kdump-hotplugd")
            try guest.loadCrashKernelByKdumpTools(adding: "acpi_no_memhotplug")
            return guest
        }

        @Test func `on 6.1 what an administrator unloads stays unloaded until it is loaded`() throws
        {
            let guest = try company()
            try guest.startDaemon()
            try guest.waitUntilOK()
            var dimms: [Range<UInt64>] = []
            for (number, unload) in ["kexec -p -u", "kdump-config unload"].enumerated() {
                try guest.expect(unload)
                dimms.append(try guest.hotAdd(megabytes: 128, id: "dimm\(number)"))
                let said = "journalctl -u kdump-hotplugd | grep -c 'A crash now leaves no dump'"
                try guest.waitUntil("[ $(\(said)) -gt \(number) ]")
                // The look after the burst, and the second one two seconds later, change nothing.
                try guest.expect("sleep 4")
                #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "0")
                let check = try guest.check()
                #expect(check.status == 2 && check.output.contains("no crash kernel is loaded"))
                try guest.expect("kdump-config load")
                // No event tells of it; the daemon sees it when it looks next.
                #expect(try guest.check().status == 0)
            }
            // What the administrator loaded is kept up like any other.
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            let dump = try crash(guest)
            #expect(dump.processors == 3)
            for dimm in dimms { #expect(dump.covers(dimm)) }
        }

        @Test func `on 6.1 the lock of kdump-tools is held and waited for`() throws {
            let guest = try company()
            #expect(try guest.run("ls /var/crash/kdump_lock").status != 0)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.expect(
                """
                setsid -f flock /var/crash/kdump_lock \
                sh -c 'until [ -e /run/enough ]; do sleep 0.2; done' >/dev/null 2>&1
                """)
            try guest.waitUntil("pgrep -x flock")
            let holder = try guest.expect("pgrep -x flock")
            try guest.hotAddCPU(socket: 2)
            let waits = "process \(holder) holds /var/crash/kdump_lock"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q '\(waits)'")
            #expect(try guest.check().status == 2)
            try guest.expect("touch /run/enough")
            try guest.waitUntilOK()
            #expect(try guest.daemonJournal().contains("Patched"))
            // While it loads, the daemon holds the lock itself: the tool then waits its turn.
            try guest.expect("flock -w 10 /var/crash/kdump_lock true")
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try guest.run("ls /var/crash/kdump_lock").status != 0)
        }

        /// A DIMM comes and goes while the tool reloads.
        ///
        /// To reload, it unloads first, and does not take its own lock for that; the pauses are there
        /// so that the daemon finds something loaded. Under emulation it rarely does for long enough to
        /// patch it: the first patch of each new image needs a look at all of it, for seconds.
        ///
        /// (Not a CPU: to plug one again and again ends QEMU.)
        @Test(arguments: [true, false])
        func `on 6.1 kdump-tools and the daemon load at the same time`(patches: Bool) throws {
            let rounds = 10
            let guest = try company(
                "KDUMP_HOTPLUGD_SETTLE=20\\nKDUMP_HOTPLUGD_NO_PATCH=\(patches ? 0 : 1)\\n")
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.expect(
                """
                setsid -f bash -c 'while [ ! -e /run/enough ]; do
                kdump-config reload; echo $? >>/run/reloads; sleep $((2 + RANDOM % 3))
                done; touch /run/over' >/dev/null 2>&1 </dev/null
                """)
            let begin = ContinuousClock.now
            for round in 0..<rounds {
                try guest.hotAdd(megabytes: 128, id: "dimm\(round)")
                try guest.hotRemove("dimm\(round)")
            }
            let dimm = try guest.hotAdd(megabytes: 128, id: "last")
            try guest.waitUntil("[ $(wc -l </run/reloads) -ge \(rounds) ]", within: .seconds(600))
            try guest.expect("touch /run/enough")
            try guest.waitUntil("[ -e /run/over ]")
            let refreshes = try guest.expect(
                "journalctl -u kdump-hotplugd -o cat | grep -cE '^(Patched|Reloaded)' || true")
            let reloads = try guest.expect(
                "wc -l </run/reloads; grep -vc '^0$' /run/reloads || true")
            print(
                "[guest] \(begin.duration(to: .now)): the daemon refreshed \(refreshes) times,"
                    + " kdump-tools reloaded, and failed to: \(reloads.split(separator: "\\n"))")
            try guest.waitUntilOK()
            let report = try guest.report()
            #expect(report.integrity == "verified" && report.memory?.missing.isEmpty == true)
            let marks = try guest.mark(dimm, count: marked)
            #expect(try crash(guest, looking: marks).marks.intact == marks.pages)
        }
    }
}
