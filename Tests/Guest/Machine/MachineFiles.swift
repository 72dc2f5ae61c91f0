// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The directory of one guest: its sockets, its console, its disk, and its memory where that is a file.
///
/// It goes away with the guest, unless the guest is saved: see SavedMachine.swift.
struct MachineFiles: Sendable {
    let directory: String

    /// The socket of the root shell, on the second serial port.
    var agent: String { directory + "/agent" }
    /// The socket of the machine protocol.
    var control: String { directory + "/qmp" }
    /// What the guest wrote to its console.
    var console: String { directory + "/console" }
    /// What QEMU itself said.
    var messages: String { directory + "/qemu" }
    /// What the guest wrote to its root disk; the rest of the disk is in files behind it.
    var disk: String { directory + "/disk.qcow2" }
    /// The memory of boot, where it is a file of this guest's own.
    var memory: String { directory + "/memory" }

    /// Makes a directory below /tmp that nobody else has or can read.
    static func make() throws(GuestError) -> MachineFiles {
        // Short: the path of a unix socket has 108 bytes.
        let path = "/tmp/guest-\(String(UInt32.random(in: .min ... .max), radix: 36))"
        return MachineFiles(directory: try makeDirectory(path))
    }

    /// Makes a directory that only this user can read, and returns its path; throws where there is one.
    static func makeDirectory(_ path: String) throws(GuestError) -> String {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw .tool("\(path): \(error)")
        }
        return path
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Makes the root disk: a copy of `backing` that takes no room and no time.
    func makeDisk(over backing: String, format: String) throws(GuestError) {
        try run(
            "/usr/bin/qemu-img",
            ["create", "-q", "-f", "qcow2", "-b", backing, "-F", format, disk])
    }
}
