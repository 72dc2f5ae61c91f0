// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What happens where a patch is barred, and where one fails.
    @Suite struct PatchFallbackTests {
        /// What bars a patch.
        enum Bar: String, CaseIterable, Sendable {
            case switchedOff, withoutDigest
        }

        @Test(arguments: Bar.allCases)
        func `on 6.1 what bars a patch is named, and all is reloaded`(bar: Bar) throws {
            let guest = try guest(.v6_1, .installed)
            try guest.configureDaemon(patches: bar != .switchedOff)
            // kexec's -i makes an image without a digest.
            try guest.loadCrashKernel(systemCall: bar == .withoutDigest ? "-c -i" : "-s")
            try guest.startDaemon()
            try guest.waitUntilOK()
            let check = try guest.check().output
            let words = bar == .switchedOff ? "switched off" : "digest of the loaded image"
            #expect(check.contains("no patch") && check.contains(words), "\(check)")
            #expect(check.contains("kdump-hotplugd, by reload"))
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_file_load") > 0)
            #expect(try guest.daemonJournal().contains("Reloaded"))
            #expect(try crash(guest).covers(dimm))
        }

        /// What a filter forbids once it forbids until the next boot.
        @Test func `on 6.1 a forbidden kexec_load is not tried again`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.adjustService("SystemCallFilter=~kexec_load")
            try guest.startDaemon()
            try guest.waitUntilOK()
            let tries = "journalctl -u kdump-hotplugd -o cat | grep -c Reloaded"
            let dimm = try guest.hotAdd(megabytes: 128, id: "first")
            try guest.waitUntil("[ $(\(tries)) -ge 1 ]")
            try guest.waitUntilOK()
            let words = "kexec_load is not available on this machine (Operation not permitted)"
            let check = try guest.check().output
            #expect(check.contains("updated by    kdump-hotplugd, by reload"), "\(check)")
            #expect(check.contains("no patch      \(words)"), "\(check)")
            // A restarted daemon knows it, too.
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try guest.check().output.contains("no patch      \(words)"))
            #expect(try crash(guest).covers(dimm))
        }

        /// The first call or the first two fail after the drop; the third rung is the alarm.
        @Test(arguments: [(1, true), (2, true), (2, false)])
        func `on 6.1 a patch that fails after the drop is made good`(
            failures: Int, canReload: Bool
        ) throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.configureDaemon(
                kernel: canReload ? "/boot/vmlinuz-$(uname -r)" : "/boot/none")
            // The distribution's service would load another one.
            try guest.expect("systemctl mask kdump-tools")
            try guest.spoilLoads(failures)
            try guest.startDaemon()
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            if !canReload {
                try guest.waitUntil("journalctl -u kdump-hotplugd -p alert | grep -q 'no dump'")
                #expect(try guest.check().status == 2)
                try guest.configureDaemon()
                try guest.startDaemon()
            }
            try guest.waitUntilOK()
            let journal = try guest.daemonJournal()
            if failures == 1 {
                #expect(journal.contains("Loaded again from reserved memory"), "\(journal)")
                #expect(try guest.loads(by: "kexec_file_load") == 0)
                #expect(try guest.check().output.contains("has failed before"))
            } else {
                #expect(journal.contains("Reloaded"), "\(journal)")
            }
            #expect(try guest.report().integrity == "verified")
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm) && dump.marks.intact == marks.pages)
        }
    }
}
