// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// A reload where the kernel has no `kexec_file_load`, as Debian's for POWER: kexec(8) makes it, in a
    /// unit of its own, over the image in place.
    ///
    /// `PowerTests` has the control: without the daemon the same growth loses the dump.
    @Suite(.enabled(if: Cell.isFull)) struct PowerReloadTests {
        /// The newer kernels tell kexec-tools that their memory ends where it did at the boot
        /// (arch/powerpc/kernel/prom.c, `early_init_devtree`), so it leaves out what was added.
        @Test(arguments: [(Kernel.power6_1, true), (.power6_12, false), (.power7, false)])
        func `a machine that grew is reloaded and dumps from its new CPU`(
            kernel: Kernel, hasMemory: Bool
        ) throws {
            let guest = try guest(kernel, .loaded(.program))
            try guest.configureDaemon(patches: false)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.traceLoads()
            if hasMemory { try guest.hotAdd(megabytes: 512, id: "dimm") }
            let new = try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            let journal = try guest.daemonJournal()
            #expect(journal.contains("Reloaded") && !journal.contains("Patched"), "\(journal)")
            let loads = try guest.loads(by: "kexec_load")
            #expect(loads > 0)
            #expect(try guest.loadsOfSegments() == loads, "nothing was unloaded")
            let last = try #require(try guest.memoryToDump().last)
            try expectWholeDump(guest, on: new, of: last, processors: 3)
        }

        /// A patch would give a damaged image a new digest, so such an image is loaded again from files.
        ///
        /// What kexec(8) has then left out is patched.
        @Test func `a damaged image of a machine that grew is loaded again and patched`() throws {
            let guest = try guest(.power6_12, .loaded(.program)) { $0.sharesMemory = true }
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try GuestTests.damageKernel(loadedIn: guest)
            #expect(try guest.report().integrity == "mismatch")
            try guest.startDaemon()
            try guest.waitUntilOK()
            let journal = try guest.daemonJournal()
            #expect(journal.contains("Reloaded"), "\(journal)")
            let isPatched = journal.contains("Patched") || journal.contains("and patched")
            #expect(isPatched, "\(journal)")
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2)
        }

        /// Whatever is wrong with kexec(8), the image in place stays, and the journal says where to look.
        @Test func `a kexec that fails costs nothing`() throws {
            let guest = try guest(.power6_12, .loaded(.program))
            try guest.configureDaemon(patches: false)
            try guest.expect("mount --bind /bin/false $(command -v kexec)")
            try guest.startDaemon()
            try guest.hotAddCPU(socket: 2)
            let words = "kdump-hotplugd-load.service failed, and its journal says why"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q '\(words)'")
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
            #expect(try guest.report().integrity == "verified")
            try guest.expect("umount $(command -v kexec)")
            try guest.waitUntilOK()
            // Where there is none at all, that is known beforehand.
            try guest.expect("mv $(command -v kexec) /root/kexec")
            let check = try guest.check()
            #expect(check.output.contains("install kexec-tools"), "\(check.output)")
        }
    }
}

extension Machine {
    /// How many of the traced calls of `kexec_load` had segments; the others unload.
    fileprivate func loadsOfSegments() throws(GuestError) -> Int {
        let lines = try expect(
            "grep -c 'sys_kexec_load(.*nr_segments: [1-9a-f]' /sys/kernel/tracing/trace || true")
        guard let count = Int(lines) else { throw .garbled("trace: \(lines)") }
        return count
    }
}
