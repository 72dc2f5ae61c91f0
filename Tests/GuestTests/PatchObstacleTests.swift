// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What forbids a patch is said before anything is lost: by the text and by its JSON.
    ///
    /// `--no-patch` and an image without a digest are in PatchFallbackTests.
    @Suite struct PatchObstacleTests {
        @Test func `on 6.12 whatever forbids all loads is named, and the image stays`() throws {
            let guest = try guest(.v6_12, .watched(.program))
            #expect(try guest.report().patchObstacle == nil)
            // The one load that is left is the patch for this DIMM.
            try guest.expect("sysctl -q kernel.kexec_load_limit_panic=1")
            let dimm = try guest.hotAdd(megabytes: 128, id: "last")
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
            #expect(try guest.expect("sysctl -n kernel.kexec_load_limit_panic") == "0")
            try expectNamed(guest, "kernel.kexec_load_limit_panic is used up", verdict: "WARNING")
            let lost = try guest.hotAdd(megabytes: 128, id: "lost")
            try guest.waitUntil("systemctl show -P StatusText kdump-hotplugd | grep -q 'loses 128'")
            let words = "kernel.kexec_load_limit_panic is used up"
            try expectNamed(guest, words, verdict: "CRITICAL")
            try guest.expect("sysctl -q kernel.kexec_load_disabled=1")
            try expectNamed(guest, "kernel.kexec_load_disabled is 1", verdict: "CRITICAL")
            try guest.lockDown(.integrity)
            #expect(try guest.report().patchObstacle?.contains("is locked down") == true)
            #expect(try guest.check().output.contains("no patch      this machine is locked down"))
            let dump = try crash(guest)
            #expect(dump.covers(dimm) && !dump.touches(lost))
        }

        /// The last load is kept where a failure of it would cost more than is wrong.
        @Test func `on 6.12 the last load is not spent on memory that is gone`() throws {
            let guest = try guest(.v6_12, .watched(.program))
            let gone = try guest.hotAdd(megabytes: 128, id: "gone")
            try guest.waitUntilOK()
            try guest.expect("sysctl -q kernel.kexec_load_limit_panic=1")
            try guest.reloadDaemon()
            try guest.hotRemove("gone")
            let words = "kernel.kexec_load_limit_panic allows one more load, which is kept"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q '\(words)'")
            try expectNamed(guest, words, verdict: "WARNING")
            #expect(try guest.daemonStatus().contains(words))
            #expect(try guest.expect("sysctl -n kernel.kexec_load_limit_panic") == "1")
            // Four blocks: were the first worth it, the others would be lost.
            let late = try guest.hotAdd(megabytes: 512, id: "late")
            try guest.waitUntil("[ $(sysctl -n kernel.kexec_load_limit_panic) = 0 ]")
            try guest.waitUntil("kdump-hotplugd --check | grep -q ', all covered'")
            let dump = try crash(guest)
            #expect(dump.covers(late) && (late.overlaps(gone) || !dump.touches(gone)))
        }

        /// What bars both ways.
        private func expectNamed(
            _ guest: Machine, _ words: String, verdict: String
        ) throws {
            let report = try guest.report()
            #expect(report.verdict == verdict, "\(report.summary)")
            #expect(report.patchObstacle?.hasPrefix(words) == true)
            #expect(report.obstacles.count == 1 && report.obstacles[0].hasPrefix(words))
            let text = try guest.check().output
            #expect(text.contains("no patch      \(words)"), "\(text)")
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
        }

        /// Holes in the memory of boot fill the page that the kernel gives its header.
        ///
        /// It leaves room for the two CPUs that may come, but with them none for a DIMM.
        @Test func `on 6.1 a header that has outgrown its place is reloaded into a larger one`()
            throws
        {
            let guest = try guest(.v6_1, .watched(.kernel)) { settings in
                let holes = (0..<64).map { "4K$\(64 + 4 * $0)M" }
                settings.commandLine = "memmap=" + holes.joined(separator: ",")
            }
            let before = try #require(try guest.report().coreHeader)
            #expect(before.entries == 70 && before.place.size == 4096)
            try guest.expect("systemctl stop kdump-hotplugd")
            let dimm = try guest.hotAdd(megabytes: 128, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.hotAddCPU(socket: 3)
            let report = try guest.report()
            let words = "the new core header needs 4.05 KiB and the old one has room for 4 KiB"
            #expect(report.patchObstacle == words && report.refresh == "reload")
            #expect(report.obstacles.isEmpty)
            #expect(try guest.check().output.contains("no patch      \(words)"))
            try guest.traceLoads()
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_load") == 0)
            #expect(try guest.report().coreHeader?.place.size == 8192)
            // With room again, the next one is a patch.
            try guest.hotRemove("dimm")
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_load") > 0)
            #expect(try guest.loads(by: "kexec_file_load") == 1)
            let dump = try crash(guest)
            #expect(!dump.touches(dimm) && dump.processors == 4)
        }
    }
}
