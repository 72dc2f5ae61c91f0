// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// What happens to one machine, told step by step.
struct Story {
    /// Whether it is told; the other machine's is not, it would be the same.
    let tells: Bool
    private let begin = ContinuousClock.now

    init(tells: Bool) { self.tells = tells }

    /// Says what happens now, and after how many seconds.
    func step(_ words: String) {
        guard tells else { return }
        let seconds = begin.duration(to: .now).components.seconds
        print("\n[\(seconds) s] \(words)")
        fflush(nil)
    }

    /// Shows a command and its output as one would see them in the guest.
    private func show(_ guest: Machine, _ command: String) throws {
        guard tells else { return }
        let output = try guest.run(command).output
        print("  # \(command)")
        for line in output.split(separator: "\n") {
            // On a terminal there are no numbers for machines.
            let shown = line.hasPrefix("KDUMP ") ? line.prefix { $0 != "|" } : line
            print("  \(shown)")
        }
        fflush(nil)
    }

    /// The machine whose crash kernel the daemon keeps right.
    func withDaemon(_ image: GuestImage) throws -> Holdings {
        step("two machines boot: Debian 12, kernel 6.1, 1 GiB, 2 CPUs, crashkernel=192M")
        let settings = MachineSettings(.v6_1, payload: Machine.payload)
        let guest = try Machine.boot(settings, image)
        try guest.loadCrashKernel()
        try guest.installDaemon()
        try guest.configureDaemon()
        step("the crash kernel is loaded, and kdump-hotplugd is started")
        try guest.startDaemon()
        try guest.waitUntilOK()
        try show(guest, "kdump-hotplugd --check")

        step("a DIMM of 256 MiB and a CPU are plugged in")
        let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
        try guest.hotAddCPU(socket: 2)
        try guest.waitUntilOK()
        step("the daemon has brought the crash kernel up to date")
        try show(guest, "kdump-hotplugd --check")
        try show(guest, "systemctl status kdump-hotplugd | sed -n '3p;/Status:/p;/Memory:/p'")
        try show(
            guest, "journalctl -u kdump-hotplugd -t kdump-hotplugd -o short-monotonic | tail -n 4")
        return try end(guest, dimm)
    }

    /// The same machine without the daemon.
    func withoutDaemon(_ image: GuestImage) throws -> Holdings {
        let guest = try Machine.boot(MachineSettings(.v6_1), image)
        try guest.loadCrashKernel()
        let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
        try guest.hotAddCPU(socket: 2)
        return try end(guest, dimm)
    }

    /// Writes to the new memory, crashes, and looks into the dump.
    private func end(_ guest: Machine, _ dimm: Range<UInt64>) throws -> Holdings {
        step("4096 pages of the new memory are written to, and the machine is crashed")
        let marks = try guest.mark(dimm, count: 4_096)
        let dump = try guest.crash(looking: marks)
        return Holdings(of: dump, dimm: dimm, marks: marks)
    }
}
