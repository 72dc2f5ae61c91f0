// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What comes after the first hotplug on arm64: memory that goes, a header that outgrows its place, and
    /// a daemon that knows only what it sees.
    ///
    /// `ArmTests` has the control of what is added: without the daemon nothing of it is in the dump.
    @Suite(.enabled(if: Cell.isFull)) struct ArmChangesTests {
        @Test(arguments: [Kernel.arm6_12, .arm7])
        func `six patches in a row, by two daemons, leave one whole image`(kernel: Kernel) throws {
            let guest = try guest(kernel, .watched(.program))
            let last = try GuestTests.patchSixTimes(guest)
            try expectToBePatched(guest)
            try expectWholeDump(guest, on: 0, of: last, processors: 2)
        }

        /// Without the daemon the dump lists memory that is gone.
        @Test(arguments: [Kernel.arm6_12, .arm7], [true, false])
        func `a removed DIMM stays only without the daemon`(kernel: Kernel, daemon: Bool) throws {
            try expectRemovedMemory(in: guest(kernel, .installed), .program, daemon: daemon)
        }

        /// A page has 72 entries.
        @Test func `a header that outgrows its page is moved`() throws {
            let guest = try guest(.arm6_12, .watched(.program)) { $0.slots = 70 }
            let before = try #require(guest.report().coreHeader)
            let dimms = try (0..<66).map { number in
                try guest.hotAdd(
                    megabytes: 128, id: "dimm\(number)", at: 8 << 30 + UInt64(number) << 28)
            }
            try guest.waitUntilOK()
            let after = try #require(guest.report().coreHeader)
            #expect(after.entries > 72 && after.place.start != before.place.start)
            try expectToBePatched(guest)
            // Which of them pages are taken from is the kernel's choice.
            let all = dimms[0].lowerBound..<dimms[65].upperBound
            try expectWholeDump(guest, on: 1, of: all, processors: 2)
        }

        /// What a patch has not listed is not in the kernel's list any more: only memory says where it is.
        @Test(arguments: [Kernel.arm6_12, .arm7])
        func `a daemon that has lost its state patches what another has patched`(
            kernel: Kernel
        ) throws {
            let guest = try guest(kernel, .watched(.program))
            try guest.hotAdd(megabytes: 256, id: "one", at: 8 << 30)
            try guest.waitUntilOK()
            try expectToBePatched(guest)
            try guest.expect(
                "systemctl stop kdump-hotplugd && rm -rf /run/kdump-hotplugd/*")
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 512, id: "two", at: 9 << 30)
            #expect(try guest.report().memory?.missing.map(\.addresses) == [dimm])
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try guest.loads() == 1)
            try expectToBePatched(guest)
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2)
        }
    }

    /// Removes a DIMM that the image of a guest lists, and expects it in the dump only if no daemon runs.
    static func expectRemovedMemory(
        in guest: Machine, _ loading: Loading, daemon: Bool
    ) throws {
        let gone = try guest.hotAdd(megabytes: 256, id: "gone", at: 8 << 30)
        try loading.load(guest)
        if daemon {
            try guest.startDaemon()
            try guest.waitUntilOK()
        }
        try guest.hotRemove("gone")
        if daemon {
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
            try guest.waitUntilOK()
            try expectToBePatched(guest)
        } else {
            let report = try guest.report()
            #expect(report.verdict == "WARNING" && !report.kernelUpdates)
            #expect(report.memory?.phantom.map(\.addresses) == [gone])
        }
        #expect(try crash(guest).touches(gone) == !daemon)
    }

    /// Adds and removes memory of a guest that is watched, by two daemons, with a patch after each change;
    /// returns the DIMM that came last.
    static func patchSixTimes(_ guest: Machine) throws -> Range<UInt64> {
        try guest.traceLoads()
        let steps: [(Machine) throws -> Void] = [
            { try $0.hotAdd(megabytes: 512, id: "one") },
            { try $0.hotAdd(megabytes: 256, id: "two", at: 8 << 30) },
            { try $0.hotRemove("one") },
            { try $0.hotAdd(megabytes: 256, id: "three", at: 9 << 30) },
            { try $0.hotRemove("two") },
            { try $0.hotAdd(megabytes: 512, id: "four", at: 10 << 30) },
        ]
        try expectAPatch(of: guest, after: steps)
        return 10 << 30..<10 << 30 + 512 << 20
    }
}
