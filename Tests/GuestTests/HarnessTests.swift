// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

/// Proves the guests themselves: without a daemon, what is lost is lost, and is seen to be lost.
///
/// These are the controls of every other guest test: a test that finds hot-added memory in a dump
/// shows something only because the same guest without the daemon does not have it there.
extension GuestTests {
    @Suite struct HarnessTests {
        @Test func theShellAnswersExactly() throws {
            let guest = try boot(MachineSettings(.v6_1))
            let odd = try guest.run(#"printf 'a\r\n\0b'; exit 7"#)
            #expect(odd.status == 7)
            #expect(odd.output == "a\r\n\0b")
            #expect(try guest.expect("seq 1 60000").utf8.count == 348_893)
            #expect(try guest.run("sleep 60", timeout: .seconds(2)).status == 124)
            #expect(try guest.expect("sleep 60 & echo on") == "on")
            try guest.waitUntil("systemctl is-system-running >/dev/null")
        }

        @Test func aCrashWithoutHotplugLeavesACompleteDump() throws {
            let guest = try guest(.v6_1, .booted)
            try guest.loadCrashKernel()
            let memory = try guest.systemMemory()
            let marks = try guest.mark(0..<1 << 30, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.processors == 2)
            #expect(dump.marks.intact == marks.pages)
            // The first MiB is the kernel's own business: it saves and maps parts of it elsewhere. The
            // reserved memory lies inside System RAM and is not dumped, so ranges need not be covered.
            for range in memory where range.lowerBound >= 1 << 20 {
                #expect(dump.touches(range))
            }
        }

        @Test(arguments: [
            (Kernel.v5_10, false), (.v6_1, false), (.v6_12, true), (.v7, true),
        ])
        func withoutADaemonOnlyANewKernelDumpsWhatWasAdded(kernel: Kernel, follows: Bool) throws {
            let guest = try guest(kernel, .booted)
            try guest.loadCrashKernel()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            #expect(try guest.hotAddCPU(socket: 2) == 2)
            let marks = try guest.mark(dimm, count: marked)
            #expect(marks.pages.count >= marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.processors == (follows ? 3 : 2))
            #expect(dump.covers(dimm) == follows)
            #expect(dump.touches(dimm) == follows)
            #expect(dump.marks.intact == (follows ? marks.pages : []))
            #expect(dump.marks.absent == (follows ? [] : marks.pages))
        }

        @Test(arguments: [Kernel.v6_1, .v6_12, .v7])
        func whatWasPluggedInCanBePluggedOut(kernel: Kernel) throws {
            let guest = try guest(kernel, .booted) { $0.losesCPUs = true }
            let before = try guest.systemMemory()
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            #expect(try guest.systemMemory().contains { $0.contains(dimm) })
            try guest.hotRemove("dimm")
            try guest.hotRemoveCPU(socket: 2)
            #expect(try guest.systemMemory() == before)
            #expect(try guest.processors() == [0, 1])
        }

        /// What QEMU does to such a machine is no lost dump: the harness lets nobody take it for one.
        @Test func aCPUThatWasNeverOnlineIsNotCrashedOver() throws {
            let guest = try guest(.v6_1, .booted)
            try guest.loadCrashKernel()
            try guest.hotAddCPU(socket: 2, online: false)
            #expect(throws: GuestError.self) { try guest.crash() }
            try guest.expect("echo 1 >/sys/devices/system/cpu/cpu2/online")
            #expect(try crash(guest).processors == 2)
        }

        @Test func aKernelThatStopsOnlyStartedCPUsDumpsBesideOneThatNeverWas() throws {
            var settings = MachineSettings(.v6_1)
            settings.commandLine = Machine.stopsOnlyStartedCPUs
            let guest = try boot(settings)
            try guest.loadCrashKernel()
            try guest.hotAddCPU(socket: 2, online: false)
            #expect(try crash(guest).processors == 2)
        }
    }
}
