// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// What Debian's kernels for POWER cannot do and those of RHEL and SUSE do: images of
    /// `kexec_file_load`, and dumps by the firmware (fadump).
    ///
    /// The guests have kernels that are built for them: `make test-files`.
    @Suite(.enabled(if: ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_FILES"] != nil))
    struct PowerFileTests {
        /// Nobody patches such an image: its digest is not checked, so damage would go unnoticed.
        @Test func `a machine that grew is reloaded and dumps whole from its new CPU`() throws {
            let guest = try guest(.powerFile, .watched(.kernel))
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            let new = try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_file_load") > 0)
            #expect(try guest.loads(by: "kexec_load") == 0, "neither patched nor unloaded")
            #expect(try guest.daemonJournal().contains("Reloaded"))
            try expectWholeDump(guest, on: new, of: dimm, processors: 3, integrity: "none")
        }

        /// The control.
        @Test func `without the daemon a crash on the new CPU leaves no dump`() throws {
            try GuestTests.expectNoDump(
                try guest(.powerFile, .loaded(.kernel)) { $0.sharesMemory = true })
        }

        @Test func `where the kernel keeps the image up, nothing is loaded`() throws {
            let guest = try guest(.powerFileHotplug, .watched(.kernel))
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            let new = try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            try guest.expect("sleep 3")
            #expect(try guest.loads() == 0)
            try expectWholeDump(guest, on: new, of: dimm, processors: 3, integrity: "none")
        }

        /// The firmware keeps all memory and boots anew; no image is loaded that could be wrong.
        @Test func `where the firmware dumps, nothing is loaded and nothing is lost`() throws {
            let guest = try guest(.powerFile, .installed) {
                $0.firmwareDumps = true
                // QEMU promises registers of all CPUs that there can be, and a kernel takes no fewer.
                $0.spareProcessors = 1
            }
            let state = "/sys/kernel/fadump/registered"
            try guest.expect("echo 0 >\(state)")
            let before = try guest.check()
            #expect(before.status == 2, "\(before.output)")
            #expect(before.output.contains("a crash now leaves no dump"))
            try guest.expect("echo 1 >\(state)")
            let words = "a crash now leaves a dump made by the firmware (fadump)"
            #expect(try guest.check().output.hasPrefix("KDUMP OK - \(words)"))
            try guest.traceLoads()
            try guest.startDaemon()
            try guest.waitUntilOK()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            let new = try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.loads() == 0)
            #expect(try guest.expect("cat \(state)") == "1")
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, on: new, looking: marks)
            #expect(dump.covers(dimm) && dump.processors == 3)
            #expect(marks.pages.count >= marked && dump.marks.intact == marks.pages)
        }
    }
}
