// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What administrators do while the daemon reads the files of a reload is not undone.
    @Suite struct RivalTests {
        /// A guest whose daemon reads the files of a reload for a CPU that has come, and is not done.
        private func reading() throws -> Machine {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.configureDaemon(patches: false)
            try guest.expect("sed -i /COMMAND_LINE/d /etc/default/kdump-hotplugd")
            try guest.prepareSlowness()
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.traceLoads()
            try guest.untilReading { try guest.hotAddCPU(socket: 2) }
            return guest
        }

        /// How many loads the daemon has begun since its disk is slow.
        private func daemonLoads(_ guest: Machine) throws -> String {
            let begins = "kdump-hotplugd-.*sys_kexec[a-z_]*("
            return try guest.expect("grep -c '\(begins)' /sys/kernel/tracing/trace || true")
        }

        @Test func `on 6.1 what is unloaded while files are read stays unloaded`() throws {
            let guest = try reading()
            try guest.expect("kexec -p -u")
            try guest.endReading()
            let words = "Nothing was loaded, because another program has just unloaded"
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q 'leaves no dump'")
            #expect(try guest.daemonJournal().contains(words))
            // The second look, and the first ones of the poll, change nothing.
            try guest.expect("sleep 5")
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "0")
            #expect(try daemonLoads(guest) == "0")
        }

        /// The books of both images are equal: the same files, and another command line.
        @Test func `on 6.1 what is loaded while files are read is not overwritten`() throws {
            let guest = try reading()
            let line = Machine.captureCommandLine.replacing("panic=1", with: "panic=2")
            try guest.expect("kexec -p -u")
            try guest.loadCrashKernel(commandLine: line)
            try guest.endReading()
            try guest.waitUntilOK()
            #expect(try guest.report().commandLine?.text.hasSuffix(line) == true)
            let words = "Nothing was loaded, because another program has just loaded"
            #expect(try guest.daemonJournal().contains(words))
            #expect(try daemonLoads(guest) == "0")
            #expect(try crash(guest).processors == 3)
        }
    }
}
