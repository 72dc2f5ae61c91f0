// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// The main job: a machine grows after its crash kernel was loaded, and still dumps whole.
    ///
    /// The controls are in HarnessTests: the same growth without a daemon is not in the dump of a
    /// 6.1 kernel.
    @Suite struct GrowthTests {
        @Test func `on 6.1 the daemon refreshes, says so, and the dump is whole`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            // Shown to be counted here, so that none on 6.12 means none.
            #expect(try guest.loads() >= 1)
            try expectToBeTold(guest)
            let marks = try guest.mark(dimm, count: marked)
            #expect(marks.pages.count >= marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm))
            #expect(dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
        }

        /// The sentence in the status, the explanation in the journal, the facts in its fields.
        private func expectToBeTold(_ guest: Machine) throws {
            let check = try guest.check()
            #expect(check.output.hasPrefix("KDUMP OK - the crash kernel covers 1.0"))
            #expect(check.output.contains("of RAM and 3 CPUs"))
            #expect(try guest.daemonStatus().contains("of RAM and 3 CPUs"))
            let status = try guest.run("systemctl status kdump-hotplugd")
            #expect(status.status == 0)
            #expect(status.output.contains("Status: \""))
            let journal = try guest.expect("journalctl -u kdump-hotplugd -x --no-pager")
            #expect(journal.contains("Subject: The crash kernel was refreshed"))
            let windows = try guest.expect("journalctl -F KDUMP_WINDOW_USEC")
            let lines = windows.split(separator: "\n")
            #expect(!lines.isEmpty && lines.allSatisfy { Int($0).map { $0 > 0 } ?? false })
            print("[guest] windows in µs: \(lines)")
            let user = try guest.run("setpriv --reuid=65534 kdump-hotplugd --check")
            #expect(user.status == 0)
            #expect(user.output.contains("checked by    the daemon, "))
            let json = try guest.check("--json")
            #expect(json.output.contains("\"verdict\" : \"OK\""))
            #expect(json.output.contains("\"loader\" : \"kexec_file_load\""))
        }

        /// Debian's kdump-tools load in a way that no kernel updates; LoaderTests has the control.
        @Test func `on 6.12 an image of kdump-tools is followed with its own command line`() throws
        {
            let guest = try guest(.v6_12, .installed)
            try guest.expect("sed -i /COMMAND_LINE/d /etc/default/kdump-hotplugd")
            try guest.loadCrashKernelByKdumpTools()
            try guest.startDaemon()
            // Debian's own line lacks what this machine will need.
            #expect(try guest.check().status == 1)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.report().commandLine?.text.contains("usbcore.nousb") == true)
            #expect(try guest.report().memory?.missing.isEmpty == true)
            #expect(try guest.failedRuleReloads() == 0, "the rule is masked")
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm))
            #expect(dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
        }

        @Test func `on 6.12 the daemon loads nothing, and the dump is whole`() throws {
            let guest = try guest(.v6_12, .watched(.kernel))
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            let subject = "The crash kernel covers the changed machine"
            try guest.waitUntil("journalctl -u kdump-hotplugd -x | grep -q '\(subject)'")
            // The daemon has had its say; what else it might do it does within its second look.
            try guest.expect("sleep 4")
            #expect(try guest.loads() == 0)
            #expect(try guest.check().status == 0)
            #expect(try guest.daemonStatus().contains("the kernel updates it itself"))
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm))
            #expect(dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
        }
    }
}
