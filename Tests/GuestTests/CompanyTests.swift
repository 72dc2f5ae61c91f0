// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// The daemon beside others who load and unload crash kernels: administrators and kdump-tools.
    @Suite struct CompanyTests {
        /// A machine as Debian makes it, with the daemon and nothing configured for it.
        private func company() throws -> Machine {
            let guest = try guest(.v6_1, .loaded(.distribution))
            try guest.expect(": >/etc/default/kdump-hotplugd")
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
                // No event tells of it: the daemon must look for it.
                try guest.waitUntilOK()
            }
            // What the administrator loaded is kept up to date like any other.
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
            let waits = "process \(holder), which holds /var/crash/kdump_lock"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q '\(waits)'")
            #expect(try guest.check().status == 2)
            try guest.expect("touch /run/enough")
            try guest.waitUntilOK()
            #expect(try guest.daemonJournal().contains("Patched"))
            // While it loads, the daemon holds the lock itself: the tool then waits its turn.
            try guest.expect("flock -w 100 /var/crash/kdump_lock true")
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try guest.run("ls /var/crash/kdump_lock").status != 0)
        }
    }
}
