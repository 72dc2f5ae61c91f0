// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Kernel 6.1 on arm64 hides what is loaded, and gets a core header from kexec-tools that no capture
    /// kernel can read: Debian 12 has no dumps there, whatever is plugged.
    ///
    /// What nobody can read is not patched. The daemon makes the whole image itself, of the same files.
    @Suite(.enabled(if: Cell.isFull)) struct ArmHiddenTests {
        @Test(arguments: [Loading.program, .distribution])
        func `on 6.1 an image is made anew, and dumps whole`(loading: Loading) throws {
            let guest = try guest(.arm6_1, .loaded(loading))
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
        @Test(arguments: [Loading.program, .distribution])
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

        @Test func `on 6.1 a removed DIMM is not in the dump`() throws {
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
