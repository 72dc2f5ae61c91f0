// SPDX-License-Identifier: Apache-2.0

import Foundation

@testable import Engine

/// A directory that holds the files of a machine, for engines that look below another root.
///
/// It is made of text, used and thrown away; the real machine is tested in guests.
final class RecordedMachine {
    private let directory: URL

    /// Where the machine's files are.
    var root: SystemRoot { SystemRoot(directory.path) }

    /// Makes a machine of files and their contents.
    init(_ files: [String: String]) throws {
        directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("machine-\(UUID().uuidString)")
        for (path, contents) in files { try write(contents, to: path) }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// Writes one file.
    func write(_ contents: String, to path: String) throws {
        let file = directory.appendingPathComponent(path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(contents.utf8).write(to: file)
    }

    /// Writes one file and returns its whole path.
    func file(_ path: String, _ contents: Data) throws -> String {
        let file = directory.appendingPathComponent(path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try contents.write(to: file)
        return file.path
    }

    /// Makes a symbolic link.
    func link(_ path: String, to target: String) throws {
        let file = directory.appendingPathComponent(path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: file.path, withDestinationPath: target)
    }

    /// Removes one file.
    func remove(_ path: String) throws {
        try FileManager.default.removeItem(at: directory.appendingPathComponent(path))
    }

    /// The files of a machine with 1 GiB, two CPUs and a loaded crash kernel, like a 6.1 kernel's.
    static let stock = [
        "/proc/iomem": """
        00001000-0009fbff : System RAM
        00100000-3ffdefff : System RAM
          31000000-3cffffff : Crash kernel

        """,
        "/sys/devices/system/cpu/present": "0-1\n",
        "/sys/kernel/kexec_crash_loaded": "1\n",
        "/proc/sys/kernel/kexec_load_disabled": "0\n",
    ]
}
