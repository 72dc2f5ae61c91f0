// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Kernel 6.1 on arm64 hides what is loaded, and has a wrong header from kexec-tools.
    ///
    /// The image is loaded again after each hotplug, by kexec(8) and so with the same wrong header.
    /// Nothing of that is cured; what is said must be true.
    @Suite(.enabled(if: Cell.isFull)) struct ArmHiddenTests {
        @Test(arguments: [true, false])
        func `on 6.1 an image is unknown, is reloaded, and leaves no dump`(daemon: Bool) throws {
            let guest = try guest(.arm6_1, .loaded(.program))
            try guest.traceLoads()
            if daemon { try guest.startDaemon() }
            try expectUnknown(guest)
            try guest.hotAdd(megabytes: 512, id: "dimm")
            if daemon { try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Reloaded") }
            try expectUnknown(guest)
            #expect(try (guest.loads(by: "kexec_load") > 0) == daemon)
            // kexec-tools gives the kernel's text the size of the address space ("Can't get the symbol of
            // _text"); the capture kernel starts.
            let error = #expect(throws: GuestError.self) { try guest.crash() }
            #expect("\(error as Any)".contains("a range ends beyond all addresses"))
        }

        private func expectUnknown(_ guest: Machine) throws {
            let report = try guest.report()
            #expect(report.verdict == "UNKNOWN" && report.integrity == "unknown")
            #expect(report.summary.contains("this kernel hides the loaded image from readers"))
            #expect(report.memory?.missing.isEmpty == true, "what is not read is not judged")
        }
    }
}
