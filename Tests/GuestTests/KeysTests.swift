// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// Images with the keys of an encrypted dump target, which nobody can put into another image.
    ///
    /// Debian's kernels know none, so these guests have one that is built for them: `make test-keys`.
    @Suite(.enabled(if: ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_KEYS"] != nil))
    struct KeysTests {
        private let payload = "open-\(UInt64.random(in: .min ... .max))"

        /// The control: any other load takes the keys away, also one of the same files.
        @Test func `an image that is loaded anew has lost the keys`() throws {
            let guest = try guest(.keys, .installed)
            try guest.loadCrashKernel(withKey: payload)
            #expect(try guest.check().output.contains("dmcryptkeys="))
            try guest.loadCrashKernel(withKey: nil)
            let said = try guest.check().output
            #expect(!said.contains("dmcryptkeys=") && !said.contains("target keys"), "\(said)")
            _ = try crash(guest)
            #expect(!guest.captureKernelHad(payload))
        }

        /// The digest covers them, and nobody may read them: that is no damage.
        @Test func `keys that the kernel hides are shown and not called damaged`() throws {
            let guest = try guest(.keys, .installed)
            try guest.loadCrashKernel(withKey: payload)
            try guest.startDaemon()
            try guest.waitUntilOK()
            let said = try guest.check().output
            #expect(said.contains("target keys   in the image"), "\(said)")
            #expect(try guest.report().integrity == "unknown")
            #expect(try guest.wouldReuseKeys())
            _ = try crash(guest)
            #expect(guest.captureKernelHad(payload), "\(guest.console.suffix(3000))")
        }

        @Test func `an entry for memory that is gone does not cost the keys`() throws {
            let guest = try guest(.keys, .installed)
            try guest.hotAdd(megabytes: 256, id: "gone")
            try guest.loadCrashKernel(withKey: payload)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.hotRemove("gone")
            let words = "which a reload would lose"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q '\(words)'")
            let report = try guest.report()
            #expect(report.verdict == "WARNING" && report.memory?.phantom.isEmpty == false)
            #expect(report.patchObstacle?.contains("waits until a dump would lose") == true)
            let journal = try guest.daemonJournal()
            #expect(!journal.contains("Patched") && !journal.contains("Reloaded"), "\(journal)")
            _ = try crash(guest)
            #expect(guest.captureKernelHad(payload))
        }

        /// The kernel has not followed, because another load held its lock.
        @Test func `memory that a dump would lose is patched in, and the keys stay`() throws {
            let guest = try guest(.keys, .installed)
            try guest.loadCrashKernel(withKey: payload)
            let dimm = try guest.hotAddUnseen()
            let before = try guest.report()
            #expect(before.verdict == "CRITICAL" && before.integrity == "unknown")
            try guest.startDaemon()
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
            try guest.waitUntilOK()
            let said = try guest.check().output
            #expect(said.contains("target keys   in the image"), "\(said)")
            // What a patch costs: nothing hides them any more, so that the digest can be computed, and no
            // other image gets them.
            #expect(try guest.report().integrity == "verified")
            #expect(try !guest.wouldReuseKeys())
            let windows = try guest.expect(
                "journalctl -u kdump-hotplugd -o verbose | sed -n 's/ *KDUMP_WINDOW_USEC=//p'")
            print("[guest] patched, unprotected for (µs): \(windows)")
            // The kernel goes on keeping the image up, and no phantom costs more than that now.
            let second = try guest.hotAdd(megabytes: 128, id: "second")
            try guest.waitUntilOK()
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm) && dump.covers(second))
            #expect(dump.marks.intact == marks.pages)
            #expect(guest.captureKernelHad(payload), "\(guest.console.suffix(3000))")
        }
    }
}

extension Machine {
    /// Plugs in a DIMM that a kernel which updates the image itself does not put into it, and returns
    /// where it lies.
    ///
    /// Other loads hold the kexec lock meanwhile, which the update needs and does not wait for.
    fileprivate func hotAddUnseen() throws -> Range<UInt64> {
        try expect(
            """
            setsid -f bash -c 'until [ -e /run/enough ]; do
            kexec -s -l /boot/vmlinuz-$(uname -r) --reuse-cmdline; done' >/dev/null 2>&1 </dev/null
            sleep 1
            """)
        for number in 0..<8 {
            let place = try hotAdd(megabytes: 128, id: "unseen-\(number)")
            guard try run("dmesg | grep 'crash hp: kexec_trylock'").status == 0 else { continue }
            try expect("touch /run/enough")
            try waitUntil("! pgrep -x kexec >/dev/null && kexec -u")
            return place
        }
        throw GuestError.timedOut("the kernel has always seen a DIMM")
    }
}
