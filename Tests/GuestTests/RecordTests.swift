// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What ordinary users are told is never better than what root sees, and has no addresses in it.
    @Suite struct RecordTests {
        private func usersCheck(_ guest: Machine) throws -> (status: Int, output: String) {
            try guest.run("setpriv --reuid=65534 kdump-hotplugd --check")
        }

        @Test func `on 6.1 a full run directory leaves nobody with an old OK`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.separateStateDirectory()
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try usersCheck(guest).status == 0)
            try guest.expect(
                """
                sysctl -q kernel.kexec_load_disabled=1
                ! dd if=/dev/zero of=/run/kdump-hotplugd/full bs=4k 2>/dev/null
                """)
            try guest.hotAdd(megabytes: 128, id: "dimm")
            try guest.waitUntil("systemctl show -P StatusText kdump-hotplugd | grep -q 'loses 128'")
            #expect(try guest.check().status == 2)
            let user = try usersCheck(guest)
            #expect(user.status != 0, "\(user.output)")
            let numbers = try guest.run("cat /run/kdump-hotplugd/metrics.prom")
            #expect(!numbers.output.contains("kdump_dump_complete 1"), "\(numbers.output)")
        }

        @Test func `on 6.1 an old report is unknown, and so is a look that failed`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.expect(
                """
                systemctl kill --signal=STOP kdump-hotplugd
                sed -Ei "s/([^a-z]time. ?: ?)[0-9]+/\\1$(($(date +%s) - 660))/" \
                /run/kdump-hotplugd/state.json
                """)
            let old = try usersCheck(guest)
            #expect(old.status == 3, "\(old.output)")
            #expect(old.output.contains("is 11 min old"), "\(old.output)")
            try guest.expect(
                "systemctl kill --signal=CONT kdump-hotplugd; systemctl reload kdump-hotplugd")
            try guest.waitUntil("setpriv --reuid=65534 kdump-hotplugd --check")
            // Reading it fails with EIO.
            try guest.expect(
                "mount --bind /proc/self/mem /sys/kernel/kexec_crash_loaded")
            try guest.expect("systemctl reload kdump-hotplugd")
            try guest.waitUntil(
                "systemctl show -P StatusText kdump-hotplugd | grep -q 'cannot be read'")
            let failed = try usersCheck(guest)
            #expect(failed.status == 3, "\(failed.output)")
        }

        @Test func `on 6.1 users are shown the command line without an address`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            #expect(try guest.check().output.contains("elfcorehdr=0x"))
            let user = try usersCheck(guest)
            #expect(user.output.contains("command line  ") && !user.output.contains("0x"))
            #expect(try guest.expect("cat /run/kdump-hotplugd/state.json").contains("0x") == false)
        }
    }
}
