// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What an arm64 image can be like beside stale.
    @Suite(.enabled(if: Cell.isFull)) struct ArmImageTests {
        /// The kernel itself writes into the beginning of the image, which the digest must not cover.
        @Test(arguments: [Kernel.arm6_12, .arm6_12_16k, .arm7])
        func `a damaged byte is found`(kernel: Kernel) throws {
            let guest = try guest(kernel, .watched(.program)) { $0.sharesMemory = true }
            #expect(try guest.report().integrity == "verified")
            try GuestTests.damageKernel(loadedIn: guest)
            let report = try guest.report()
            #expect(report.verdict == "CRITICAL" && report.integrity == "mismatch")
            #expect(report.summary.hasPrefix("a crash now leaves no dump"))
        }

        /// No memory can be plugged into this kernel: the image is loaded as if there were less.
        @Test(arguments: [true, false])
        func `with pages of 16 KiB an image that lacks memory is patched`(daemon: Bool) throws {
            let guest = try guest(.arm6_12_16k, .installed)
            let reserve = try #require(try guest.reservedMemory().last)
            let memory = try #require(
                try guest.systemMemory().first { $0.contains(reserve) })
            let lost = reserve.upperBound..<memory.upperBound
            try guest.expect(
                """
                sed 's/^\\([0-9a-f]*\\)-\(hex(memory.upperBound - 1)) : System RAM/\\1-\
                \(hex(lost.lowerBound - 1)) : System RAM/' /proc/iomem >/run/iomem
                ! cmp -s /run/iomem /proc/iomem && mount --bind /run/iomem /proc/iomem
                """)
            try guest.loadCrashKernel(systemCall: "-c")
            try guest.expect("umount /proc/iomem")
            #expect(try guest.report().memory?.missing.isEmpty == false)
            if daemon {
                try guest.startDaemon()
                try guest.waitUntilOK()
                try expectToBePatched(guest)
                try expectWholeDump(guest, on: 1, of: lost, processors: 2)
            } else {
                let marks = try guest.mark(lost, count: marked)
                let dump = try crash(guest, on: 1, looking: marks)
                #expect(dump.marks.absent == marks.pages)
            }
        }

        private func hex(_ number: UInt64) -> String { String(number, radix: 16) }
    }
}
