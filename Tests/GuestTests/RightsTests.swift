// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What the daemon may do, and that it needs no more.
    @Suite struct RightsTests {
        /// CAP_SYS_ADMIN is number 21, CAP_NET_ADMIN 12.
        @Test func `on 6.1 a patch needs few rights`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            let pid = try guest.expect("systemctl show -P MainPID kdump-hotplugd")
            for kind in ["CapEff", "CapPrm", "CapBnd"] {
                let digits = try guest.expect(
                    "sed -n 's/^\(kind):[[:space:]]*//p' /proc/\(pid)/status")
                let rights = try #require(UInt64(digits, radix: 16))
                #expect(rights & (1 << 21 | 1 << 12) == 0, "\(kind) \(digits)")
            }
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_load") > 0)
            #expect(try guest.loads(by: "kexec_file_load") == 0)
            let dump = try crash(guest)
            #expect(dump.covers(dimm) && dump.processors == 3)
        }

        /// The next daemon may crash of the same cause.
        @Test func `on 6.1 a daemon that crashes again and again waits`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            for crash in 1...3 {
                try guest.expect("systemctl kill --signal=SEGV kdump-hotplugd")
                try guest.waitUntil(
                    "[ $(systemctl show -P NRestarts kdump-hotplugd) -ge \(crash) ]"
                        + " && systemctl is-active -q kdump-hotplugd")
            }
            let words = "has crashed 3 times in a row and waits 4.0 s"
            #expect(try guest.daemonJournal().contains(words))
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            // A stop ends the count.
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try !guest.daemonJournal().contains("has crashed 4 times"))
        }
    }
}
