// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Kernel 6.1 on arm64 hides what is loaded, and gets a core header from kexec-tools that no capture
    /// kernel can read: Debian 12 has no dumps there, whatever is plugged.
    ///
    /// What nobody can read is not patched. The daemon makes the whole image itself, of the same files.
    @Suite struct ArmHiddenTests {
        @Test(.enabled(if: Cell.isFull), arguments: [Loading.program, .distribution])
        func `on 6.1 an image is made anew, and dumps whole`(loading: Loading) throws {
            let guest = try guest(.arm6_1, .loaded(loading))
            try guest.expect("mv $(command -v kexec) /root/")
            try guest.traceLoads()
            try guest.startDaemon()
            try guest.waitUntilOK()
            let first = try guest.loads(by: "kexec_load")
            #expect(first > 0)
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_load") > first)
            #expect(try guest.daemonJournal().contains("Reloaded"))
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2, integrity: "unknown")
        }

        /// The control: kexec-tools gives the kernel's text the size of the address space ("Can't get the
        /// symbol of _text"), and the capture kernel starts.
        @Test(.enabled(if: Cell.isFull), arguments: [Loading.program, .distribution])
        func `on 6.1 an image is unknown without the daemon, and leaves no dump`(
            loading: Loading
        ) throws {
            let guest = try guest(.arm6_1, .loaded(loading))
            try guest.hotAdd(megabytes: 512, id: "dimm")
            let report = try guest.report()
            #expect(report.verdict == "UNKNOWN" && report.integrity == "unknown")
            #expect(report.summary.contains("this kernel hides the loaded image from readers"))
            #expect(report.memory?.missing.isEmpty == true, "what is not read is not judged")
            let error = #expect(throws: GuestError.self) { try guest.crash() }
            #expect("\(error as Any)".contains("a range ends beyond all addresses"))
        }

        /// Of two reserved ranges the kernel takes an image in the higher one only, and drops the old image
        /// before it says so.
        @Test(.enabled(if: Cell.isFull))
        func `on 6.1 an image is put into the range for images, also if that is the smaller one`()
            throws
        {
            let guest = try guest(.arm6_1, .loaded(.program)) {
                $0.memory = 4096
                $0.crashkernel = "224M,high crashkernel=256M,low"
            }
            #expect(try guest.reservedMemory().count == 2)
            try guest.startDaemon()
            try guest.waitUntilOK()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.waitUntilOK()
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2, integrity: "unknown")
        }

        /// Nobody can read what another program has loaded since, so it is not called right.
        @Test(.enabled(if: Cell.isFull))
        func `on 6.1 another program's image is unknown until the next hotplug`() throws {
            let guest = try guest(.arm6_1, .loaded(.program))
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.loadCrashKernel(systemCall: "-c")
            #expect(try guest.report().verdict == "UNKNOWN")
            try guest.expect("systemctl reload kdump-hotplugd")
            #expect(try guest.expect("cat /run/kdump-hotplugd/state.json").contains("UNKNOWN"))
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.waitUntilOK()
            try expectWholeDump(guest, on: 0, of: dimm, processors: 2, integrity: "unknown")
        }

        @Test(.enabled(if: Cell.isFull))
        func `on 6.1 a removed DIMM is not in the dump`() throws {
            let guest = try guest(.arm6_1, .loaded(.program))
            let gone = try guest.hotAdd(megabytes: 256, id: "gone", at: 8 << 30)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.hotRemove("gone")
            try guest.waitUntilOK()
            let dump = try crash(guest)
            #expect(!dump.touches(gone) && dump.processors == 2)
        }

        /// Where the image can be read, what was made is seen to be right, and is patched like any other.
        ///
        /// `ArmTests` has the control.
        @Test func `on 6.12 an image that was made anew is audited and patched`() throws {
            let guest = try guest(.arm6_12, .loaded(.program))
            try guest.configureDaemon(patches: false)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.hotAdd(megabytes: 256, id: "one")
            try guest.waitUntilOK()
            #expect(try guest.daemonJournal().contains("Reloaded"))
            #expect(try guest.report().integrity == "none")
            try guest.configureDaemon()
            try guest.startDaemon()
            try guest.waitUntilOK()
            let dimm = try guest.hotAdd(megabytes: 512, id: "two")
            try guest.waitUntilOK()
            #expect(try guest.daemonJournal().contains("Patched"))
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2, integrity: "none")
        }
    }
}
