// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Files that are swapped after a reload has checked them, and before the kernel reads them.
    ///
    /// strace(1) holds the load up for so long. What was checked must be what is loaded: otherwise the
    /// image would be lost, or be another.
    @Suite(.tags(.long)) struct SwappedFilesTests {
        /// What happens to the files.
        private static let swaps = [
            "mv -f /srv/other /srv/vmlinuz",
            "ln -sfn /usr/bin/bash /srv/vmlinuz",
            "rm /srv/vmlinuz /srv/initrd",
            // It waits until the daemon lets go of the file.
            "(truncate -s 0 /srv/initrd; date +%s.%N >/srv/truncated) >/dev/null 2>&1 </dev/null &",
        ]

        @Test func `what a reload has checked is what it loads, whatever becomes of the files`()
            throws
        {
            let guest = try guest(.v6_1, .loaded(.kernel)) { $0.sharesMemory = true }
            try guest.configureDaemon(
                kernel: "/srv/vmlinuz", initrd: "/srv/initrd", patches: false)
            try guest.layOut()
            try guest.startDaemon()
            try guest.waitUntilOK()
            for (number, swap) in Self.swaps.enumerated() {
                try guest.layOut()
                try guest.swap(swap) { try guest.hotAdd(megabytes: 128, id: "dimm\(number)") }
                let report = try guest.report()
                let place = try #require(report.coreHeader, "\(swap): \(report.summary)").place
                #expect(
                    try guest.memoryInCoreHeader(in: place.addresses) == guest.memoryToDump(),
                    "\(swap): \(report.summary)")
                #expect(report.verdict != "CRITICAL", "\(swap): \(report.summary)")
            }
            try guest.waitUntil("test -e /srv/truncated")
            // With an empty initrd the capture kernel would find nobody to read the dump.
            let memory = try guest.memoryToDump()
            #expect(try crash(guest).memory.aboveLegacy == memory)
        }
    }
}

extension Machine {
    /// Puts both files where the settings have them, and another that is no kernel beside them.
    fileprivate func layOut() throws(GuestError) {
        try expect(
            """
            rm -f /srv/vmlinuz /srv/initrd; cp /boot/vmlinuz-$(uname -r) /srv/vmlinuz
            cp \(GuestImage.captureInitrd) /srv/initrd; cp /usr/bin/bash /srv/other; sync
            """)
    }

    /// Does something to the files while the load that follows a change waits to begin.
    fileprivate func swap(_ command: String, after change: () throws -> Void) throws {
        try expect(
            """
            pid=$(systemctl show -P MainPID kdump-hotplugd)
            setsid -f strace -f -o /run/strace -e trace=kexec_file_load \
            -e inject=kexec_file_load:delay_enter=15000000 -p $pid >/run/strace.log 2>&1 </dev/null
            until grep -q attached /run/strace.log; do sleep 0.05; done
            """)
        try change()
        let open =
            "ls -l /proc/$(systemctl show -P MainPID kdump-hotplugd)/fd | grep -q /srv/initrd"
        // A look opens it, too, and closes it at once.
        try waitUntil("{ \(open) && sleep 1 && \(open); }")
        try expect("test $(cat /sys/kernel/kexec_crash_loaded) = 1; \(command)")
        // It is still open: so the load has not begun.
        try expect(open)
        try waitUntil("grep -q 'kexec_file_load.* = 0' /run/strace")
        try expect(
            """
            pkill -x strace; while pgrep -x strace >/dev/null; do sleep 0.05; done
            while [ -e /run/kdump-hotplugd/load-under-way ]; do sleep 0.1; done
            """)
    }
}
