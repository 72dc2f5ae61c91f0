// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// `crashkernel=…,cma`: RAM of the running kernel that the capture kernel will use as its own.
    ///
    /// Kernels 6.17 and 6.18 have such ranges and no file that tells them.
    @Suite struct ContiguousReserveTests {
        private static let hasOwnKernel =
            ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_KEYS"] != nil

        /// Here nobody may read it.
        @Test func `on 7 ranges that no file tells are neither missed nor listed`() throws {
            let guest = try guest(.v7, .loaded(.kernel)) {
                $0.commandLine = "crashkernel=64M,cma"
                $0.sharesMemory = true
            }
            // The daemon's rights do not include reading files against their mode.
            try expectUntouched(in: guest) {
                try guest.expect(
                    """
                    chmod -f 000 /sys/kernel/kexec/crash_cma_ranges \
                    /sys/kernel/kexec_crash_cma_ranges
                    ! setpriv --bounding-set=-dac_override,-dac_read_search \
                    cat /sys/kernel/kexec/crash_cma_ranges
                    """)
            }
        }

        /// `make test-keys` builds a kernel without it.
        @Test(.enabled(if: hasOwnKernel))
        func `ranges for which there is no file are neither missed nor listed`() throws {
            let guest = try guest(.keys, .loaded(.kernel)) {
                $0.commandLine = "crashkernel=64M,cma"
                $0.sharesMemory = true
            }
            try guest.expect("! ls /sys/kernel/kexec/crash_cma_ranges /sys/kernel/kexec_crash_cma*")
            try expectUntouched(in: guest) {}
        }

        /// Hides the file that tells the ranges, and makes sure that they are known all the same.
        private func expectUntouched(in guest: Machine, hiding hide: () throws -> Void) throws {
            let reserve = try ranges(of: guest)
            let before = try guest.check().output
            #expect(before.contains("all covered"), "\(before)")
            try hide()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.startDaemon()
            // What is removed has to be patched away: this kernel does not do it.
            try guest.hotRemove("dimm")
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
            // The first patch may have been made when half of it was gone.
            try waitUntilUnlisted(dimm, in: guest)
            let said = try guest.expect(
                "journalctl -u kdump-hotplugd -o cat; cat /run/kdump-hotplugd/state.json")
            #expect(!said.contains("loses"), "\(said)")
            let dump = try crash(guest)
            #expect(!reserve.contains(where: dump.touches) && !dump.touches(dimm))
        }

        private func waitUntilUnlisted(_ range: Range<UInt64>, in guest: Machine) throws {
            let deadline = ContinuousClock.now + Machine.patience
            while true {
                let place = try #require(try guest.report().coreHeader).place.addresses
                let listed = try guest.memoryInCoreHeader(in: place)
                guard listed.contains(where: { $0.overlaps(range) }) else { return }
                try #require(ContinuousClock.now < deadline, "it stays listed: \(listed)")
            }
        }

        /// What the kernel has left out of the header of the image that it has just made.
        private func ranges(of guest: Machine) throws -> [Range<UInt64>] {
            let place = try #require(try guest.report().coreHeader).place.addresses
            let ranges = try guest.memoryToDump()
                .subtracting(guest.memoryInCoreHeader(in: place))
            #expect(ranges.map(\.count).reduce(0, +) == 64 << 20, "\(ranges)")
            return ranges
        }
    }
}
