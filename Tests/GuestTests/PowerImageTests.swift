// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// What is wrong with an image on POWER beside what it lacks: each kind is found, and cured where a
    /// patch can.
    @Suite(.enabled(if: Cell.isFull)) struct PowerImageTests {
        /// kexec-tools tells the capture kernel to spare less than the kernel may fill, so a header that
        /// has grown is overwritten before it is read.
        @Test(arguments: [true, false])
        func `a header that has outgrown what is reserved for it`(daemon: Bool) throws {
            let guest = try guest(
                .power6_12,
                daemon ? .watched(.programForKernel) : .loaded(.programForKernel)
            ) { $0.spareProcessors = 62 }
            // Every second one: what is next to each other is one range.
            let dimms = try (0..<8).map { number in
                try guest.hotAdd(
                    megabytes: 256, id: "dimm\(number)", at: (8 + UInt64(number)) << 30)
            }
            if daemon {
                try guest.waitUntilOK()
                #expect(try #require(guest.report().coreHeader).entries > 72)
                try expectWholeDump(guest, on: 0, of: dimms[7], processors: 2)
            } else {
                let check = try guest.check()
                #expect(check.status == 2)
                #expect(check.output.contains("does not reserve the last"))
                try guest.startCrash(on: 0)
                #expect(throws: GuestError.self) { try guest.dump() }
                #expect(guest.console.contains("vmcore_init"))
            }
        }

        /// With a hashed page table a hypervisor gives a guest another one when memory comes, and the
        /// kernel goes on telling the size of the first.
        @Test(arguments: [true, false])
        func `a page table of another size than the device tree says`(daemon: Bool) throws {
            let guest = try guest(
                .power6_12, daemon ? .watched(.program) : .loaded(.program)
            ) { $0.commandLine = "disable_radix" }
            try guest.expect(
                "mountpoint -q /sys/kernel/debug || mount -t debugfs d /sys/kernel/debug")
            let order = "cat /sys/kernel/debug/powerpc/hpt_order"
            let before = try guest.expect(order)
            let dimm = try guest.hotAdd(megabytes: 8192, id: "dimm")
            #expect(try guest.expect(order) != before)
            if daemon {
                try guest.waitUntilOK()
                try expectWholeDump(guest, on: 0, of: dimm, processors: 2)
            } else {
                let check = try guest.check()
                #expect(check.status == 2 && check.output.contains("would hang"), "\(check.output)")
                // With the right size the dump takes a quarter of this time.
                try guest.startCrash(on: 0)
                #expect(throws: GuestError.self) { try guest.dump(within: .seconds(60)) }
                #expect(guest.console.contains("sysrq: Trigger a crash"))
                #expect(!guest.console.contains("Linux version"), "no second kernel")
            }
        }

        @Test(arguments: [Kernel.power6_1, .power6_12])
        func `a damaged byte is found`(kernel: Kernel) throws {
            let guest = try guest(kernel, .watched(.program)) { $0.sharesMemory = true }
            #expect(try guest.report().integrity == "verified")
            try GuestTests.damageKernel(loadedIn: guest)
            let report = try guest.report()
            if kernel == .power6_1 {
                // What is found by its value alone might be what is left of another image.
                #expect(report.verdict == "UNKNOWN" && report.integrity == "unknown")
                #expect(report.summary.contains("its digest does not match"))
            } else {
                #expect(report.verdict == "CRITICAL" && report.integrity == "mismatch")
                #expect(report.summary.hasPrefix("a crash now leaves no dump"))
            }
        }

        @Test func `what hides the image is named`() throws {
            let guest = try guest(.power6_12, .loaded(.program))
            try guest.expect("mount --bind /etc/hostname /proc/kcore")
            #expect(try guest.report().verdict == "UNKNOWN")
            #expect(try guest.report().summary.contains("/proc/kcore"))
            try guest.expect("umount /proc/kcore")
            #expect(try guest.report().integrity == "verified")
            try guest.expect("sysctl -q kernel.kexec_load_disabled=1")
            let loads = try guest.report()
            #expect(loads.integrity == "verified")
            #expect(loads.patchObstacle?.contains("kexec_load_disabled") == true)
            try guest.lockDown(.confidentiality)
            let report = try guest.report()
            #expect(report.verdict == "UNKNOWN" && report.integrity == "unknown")
            #expect(report.summary.contains("/proc/kcore"))
        }
    }
}
