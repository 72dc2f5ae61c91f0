// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What kdump-tools left on the disk of a guest: the dump that makedumpfile wrote, and the log.
///
/// It is copied out of the disk image after the guest has ended, and goes away with the guest. It is
/// not read here.
package struct WrittenDump: Sendable {
    /// The dump, in makedumpfile's format; `nil` where it could not be written.
    package let file: String?
    /// The kernel's messages up to the crash, as makedumpfile took them from memory.
    package let messages: String
    /// The time from the crash until the capture kernel rebooted.
    package let captureTime: Duration
    /// What the capture kernel said.
    package let console: String
}

extension Machine {
    /// Crashes a guest that is a whole system, lets the crash kernel that is loaded there do what it
    /// does, and returns what is on the disk when it reboots; the guest is of no use afterwards.
    package func crashToDisk() throws(GuestError) -> WrittenDump {
        try refuseUnstartedCPUs()
        let begin = ContinuousClock.now
        defer { Census.spent(on: .dumping, since: begin) }
        let before = console.count
        try agent.start("echo c >/proc/sysrq-trigger")
        // A whole Debian boots once more and writes all of its memory: more than anything else that is
        // waited for.
        try waitForReboot(by: Deadline(in: Self.patience * 3))
        let captureTime = begin.duration(to: .now)
        let place = files.directory + "/crash"
        let disk = files.directory + "/disk.ext4"
        try Guest.run("/usr/bin/qemu-img", ["convert", "-O", "raw", files.disk, disk])
        try Guest.run("/usr/sbin/debugfs", ["-R", "rdump /var/crash \(files.directory)", disk])
        let names =
            FileManager.default.enumerator(atPath: place)?.compactMap { $0 as? String } ?? []
        let dump = try readable(names.filter { !$0.hasSuffix("-incomplete") }, in: place)
        let log = names.first { $0.contains("/dmesg.") }
            .flatMap { try? String(contentsOfFile: "\(place)/\($0)", encoding: .isoLatin1) }
        return WrittenDump(
            file: dump, messages: log ?? "", captureTime: captureTime,
            console: String(console.dropFirst(before)))
    }

    /// The dump, in the format that debuggers read.
    ///
    /// kdump-tools has makedumpfile write a stream, which makedumpfile must put in order before; where
    /// makedumpfile fails, it copies /proc/vmcore.
    private func readable(_ names: [String], in place: String) throws(GuestError) -> String? {
        if let stream = names.first(where: { $0.contains("/dump.") }) {
            let dump = files.directory + "/dump"
            try Guest.run(
                "/bin/sh", ["-c", "makedumpfile -R \"$0\" <\"$1\"", dump, "\(place)/\(stream)"])
            return dump
        }
        return names.first { $0.contains("/vmcore.") }.map { "\(place)/\($0)" }
    }

    /// QEMU ends instead of rebooting, and with it the wire.
    private func waitForReboot(by deadline: Deadline) throws(GuestError) {
        while true {
            do {
                _ = try agent.wire.line(by: deadline)
            } catch .ended {
                return
            } catch {
                throw explained(error, "waiting for the capture kernel to reboot")
            }
        }
    }
}
