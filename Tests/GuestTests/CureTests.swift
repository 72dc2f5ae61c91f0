// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// What only an audit finds, and what the daemon does about it.
    @Suite struct CureTests {
        /// A kernel that updates the image itself leaves a removed DIMM in its core header, and says
        /// `crash_hotplug` = 1 all the same.
        @Test(arguments: Cell.isFull ? [Kernel.v6_12, .v7] : [.v7], [true, false])
        func `a removed DIMM that the kernel forgets stays only without the daemon`(
            kernel: Kernel, daemon: Bool
        ) throws {
            let guest = try guest(kernel, .installed)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.loadCrashKernel()
            if daemon {
                try guest.startDaemon()
                try guest.waitUntilOK()
            }
            try guest.hotRemove("dimm")
            if daemon {
                try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
                try guest.waitUntilOK()
            } else {
                let report = try guest.report()
                #expect(report.verdict == "WARNING" && report.kernelUpdates)
                #expect(report.memory?.phantom.map(\.addresses) == [dimm])
                #expect(
                    try guest.expect("cat /sys/devices/system/memory/crash_hotplug") == "1")
            }
            #expect(try crash(guest).touches(dimm) == !daemon)
        }

        /// Hot-added memory is listed, but the capture kernel takes it for its own.
        @Test(arguments: Cell.isFull ? [Kernel.v6_1, .v6_12] : [.v6_12], [true, false])
        func `a command line that loses hot-added memory is completed by the daemon`(
            kernel: Kernel, daemon: Bool
        ) throws {
            let careless = Machine.captureCommandLine
                .replacingOccurrences(of: " acpi_no_memhotplug", with: "")
            let guest = try guest(kernel, .installed)
            try guest.expect("sed -i /COMMAND_LINE/d /etc/default/kdump-hotplugd")
            try guest.loadCrashKernel(commandLine: careless)
            #expect(try guest.report().commandLine?.lacks == ["acpi_no_memhotplug"])
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            if daemon {
                try guest.startDaemon()
                try guest.waitUntilOK()
                let added = "acpi_no_memhotplug added to its command line"
                if kernel != .v6_1 { #expect(try guest.daemonJournal().contains(added)) }
                let line = try #require(try guest.report().commandLine?.text)
                #expect(line.hasSuffix("\(careless) acpi_no_memhotplug"))
            } else {
                if kernel == .v6_1 { try guest.loadCrashKernel(commandLine: careless) }
                let report = try guest.report()
                #expect(report.verdict == "CRITICAL")
                #expect(report.summary.contains("lacks acpi_no_memhotplug"))
            }
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm))
            #expect(dump.marks.intact == (daemon ? marks.pages : []))
            #expect(dump.marks.unreadable == (daemon ? [] : marks.pages))
        }

        @Test func `a damaged byte is found, and the daemon loads a whole image`() throws {
            let guest = try guest(.v6_1, .watched(.kernel)) { $0.sharesMemory = true }
            #expect(try guest.report().integrity == "verified")
            // In the initrd, near the top of the reserve's lower half: any byte will do.
            let reserve = try #require(try guest.reservedMemory().first)
            let place = reserve.lowerBound + UInt64(reserve.count) * 9 / 10
            let byte = try #require(try guest.memory(at: place, count: 1).first)
            try guest.overwrite(at: place, with: [byte ^ 0x55])
            let report = try guest.report()
            #expect(report.verdict == "CRITICAL" && report.integrity == "mismatch")
            #expect(report.summary.hasPrefix("a crash now leaves no dump"))
            try guest.expect("systemctl reload kdump-hotplugd")
            // Until it has computed the digest it says what it said before; and systemd calls this
            // reload of the settings "Reloaded" too.
            try guest.waitUntil("journalctl -t kdump-hotplugd | grep -q Reloaded")
            try guest.waitUntilOK()
            #expect(try guest.report().integrity == "verified")
            #expect(try crash(guest).processors == 2)
        }

        /// The memory ranges of the core header vanish, and no event says so.
        @Test(arguments: [true, false])
        func `what no event announces is found by a scrub`(scrubs: Bool) throws {
            let guest = try guest(.v6_1, .loaded(.kernel)) { $0.sharesMemory = true }
            let seconds = scrubs ? 15 : 0
            try guest.expect("echo KDUMP_HOTPLUGD_SCRUB=\(seconds) >>/etc/default/kdump-hotplugd")
            try guest.startDaemon()
            try guest.waitUntilOK()
            // After its first look the daemon looks once more; let that pass. And a scrub must not come
            // before the check that shows the damage.
            let age = "$(($(date +%s) - $(stat -c %Y /run/kdump-hotplugd/state.json)))"
            try guest.waitUntil("[ \(age) -ge 10 ]")
            if scrubs { try guest.waitUntil("[ \(age) -le 1 ]") }
            let header = try #require(try guest.reservedMemory().first?.lowerBound)
            // e_phnum (elf.h) becomes 2: the notes of the CPUs, and nothing else.
            try guest.overwrite(at: header + 56, with: [2])
            #expect(try guest.check().status == 2)
            if scrubs { try guest.waitUntilOK() } else { try guest.expect("sleep 10") }
            let journal = try guest.daemonJournal()
            #expect(journal.contains("Reloaded") == scrubs, "\(journal)")
            #expect(try guest.check().status == (scrubs ? 0 : 2))
        }

        /// A kernel that could not update the image says so in its log, and only there.
        @Test func `on 6.12 the kernel's own admission leads to a look`() throws {
            let guest = try guest(.v6_12, .watched(.kernel))
            try guest.expect("sleep 4")
            let covers = "journalctl -u kdump-hotplugd | grep -c 'crash kernel covers'"
            let before = try guest.expect(covers)
            try guest.expect("echo 'something else' >/dev/kmsg; sleep 2")
            #expect(try guest.expect(covers) == before)
            try guest.expect("echo 'crash hp: a test of the daemon' >/dev/kmsg")
            try guest.waitUntil("[ $(\(covers)) -gt \(before) ]")
        }
    }
}
