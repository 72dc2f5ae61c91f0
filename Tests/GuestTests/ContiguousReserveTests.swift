// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// `crashkernel=…,cma`: RAM of the running kernel that the capture kernel will use as its own.
    @Suite struct ContiguousReserveTests {
        /// Kernels 6.17 and 6.18 have no file that tells the ranges; here nobody may read it.
        @Test func `on 7 ranges that no file tells are neither missed nor listed`() throws {
            let guest = try guest(.v7, .loaded(.kernel)) {
                $0.commandLine = "crashkernel=64M,cma"
            }
            let told = try guest.expect("cat /sys/kernel/kexec/crash_cma_ranges")
            let ends = told.split(separator: "-").compactMap { UInt64($0, radix: 16) }
            let reserve = try #require(ends.count == 2 ? ends[0]..<ends[1] + 1 : nil, "\(told)")
            let before = try guest.check().output
            #expect(before.contains("all covered"), "\(before)")
            // The daemon's rights do not include reading files against their mode.
            try guest.expect(
                """
                chmod -f 000 /sys/kernel/kexec/crash_cma_ranges /sys/kernel/kexec_crash_cma_ranges
                ! setpriv --bounding-set=-dac_override,-dac_read_search \
                cat /sys/kernel/kexec/crash_cma_ranges
                """)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.startDaemon()
            // What is removed has to be patched away: this kernel does not do it.
            try guest.hotRemove("dimm")
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
            let said = try guest.expect(
                "journalctl -u kdump-hotplugd -o cat; cat /run/kdump-hotplugd/state.json")
            #expect(!said.contains("loses"), "\(said)")
            let dump = try crash(guest)
            #expect(!dump.touches(reserve) && !dump.touches(dimm))
        }
    }
}
