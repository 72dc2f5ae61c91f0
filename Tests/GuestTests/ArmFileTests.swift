// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// Images of `kexec_file_load` on arm64, which Debian's kernels cannot make; and virtio-mem.
    ///
    /// The guests have a kernel that is built for them: `make test-files`. Such an image has no digest,
    /// and nobody keeps it up.
    @Suite(.enabled(if: ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_FILES"] != nil))
    struct ArmFileTests {
        @Test(arguments: [true, false])
        func `a machine that grew is patched or reloaded, and dumps whole`(patches: Bool) throws {
            let guest = try guest(.armFile, .loaded(.kernel))
            try guest.configureDaemon(patches: patches)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.waitUntilOK()
            #expect(try (guest.loads(by: "kexec_load") > 0) == patches)
            #expect(try (guest.loads(by: "kexec_file_load") > 0) != patches)
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2, integrity: "none")
        }

        /// The control.
        @Test func `without the daemon nothing of what was added is in the dump`() throws {
            let guest = try guest(.armFile, .loaded(.kernel))
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            #expect(try guest.check().status == 2)
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, on: 1, looking: marks)
            #expect(!dump.touches(dimm) && dump.processors == 2)
            #expect(marks.pages.count >= marked && dump.marks.absent == marks.pages)
        }

        @Test(arguments: [true, false])
        func `a removed DIMM stays only without the daemon`(daemon: Bool) throws {
            try expectRemovedMemory(in: guest(.armFile, .installed), .kernel, daemon: daemon)
        }

        @Test func `six patches in a row, by two daemons, leave one whole image`() throws {
            let guest = try guest(.armFile, .watched(.kernel))
            let last = try patchSixTimes(guest)
            try expectWholeDump(guest, on: 0, of: last, processors: 2, integrity: "none")
        }

        @Test(arguments: [true, false])
        func `virtio-mem grows, shrinks and grows again`(daemon: Bool) throws {
            let guest = try guest(.armFile, daemon ? .watched(.kernel) : .loaded(.kernel)) {
                $0.virtioMemory = 1024
            }
            let place = try resizeVirtioMemory(of: guest, daemon: daemon)
            let marks = try guest.mark(place, count: marked)
            let dump = try crash(guest, on: 1, looking: marks)
            #expect(dump.touches(place) == daemon)
            #expect(marks.pages.count >= marked)
            #expect((daemon ? dump.marks.intact : dump.marks.absent) == marks.pages)
        }
    }
}
