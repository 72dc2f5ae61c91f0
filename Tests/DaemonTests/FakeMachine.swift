// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Engine

/// A root directory in /tmp, with stand-ins for the programs that the script asks.
final class FakeMachine {
    private let root: String

    init() throws {
        var template = Array("/tmp/kdump-hotplugd-test-XXXXXX".utf8CString)
        root = String(cString: try #require(mkdtemp(&template)))
        try program("uname", "echo \"$ARCHITECTURE\"")
        try program("udevadm", "test \"$*\" = 'control --reload' && echo >>\(root)/reloads")
    }

    deinit {
        _ = shell("rm -rf \(root)")
    }

    /// The machine's files, for whatever reads below a root.
    var systemRoot: SystemRoot { SystemRoot(root) }

    /// How often udevd was told to read its rules again.
    var reloads: Int { has("reloads") ? (try? read("\(root)/reloads").count) ?? -1 : 0 }

    /// Runs the script that masks rules, and returns its exit status.
    func mask(_ argument: String, architecture: String = "x86_64") -> CInt {
        run("udev/mask-reload-rules", argument, architecture: architecture)
    }

    /// Runs a script of the repository, and returns its exit status.
    func run(_ script: String, _ argument: String, architecture: String = "x86_64") -> CInt {
        shell(
            "PATH=\(root)/bin:$PATH ARCHITECTURE=\(architecture) KDUMP_HOTPLUGD_ROOT=\(root) "
                + "\(repository(script)) \(argument) 2>\(root)/errors")
    }

    /// Runs a command while somebody holds the lock of a file.
    func whileLocked<Value>(_ path: String, _ body: () -> Value) throws -> Value {
        let file = open("\(root)/\(path)", O_RDONLY | O_CLOEXEC)
        try #require(file >= 0)
        defer { close(file) }
        try #require(flock(file, LOCK_EX | LOCK_NB) == 0)
        return body()
    }

    /// The permissions of a file.
    func mode(of path: String) -> mode_t {
        var found = stat()
        return lstat("\(root)/\(path)", &found) == 0 ? found.st_mode & 0o777 : 0
    }

    func write(_ path: String, _ text: String = "") throws {
        let path = "\(root)/\(path)"
        let directory = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        try #require(shell("mkdir -p \(directory)") == 0)
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        try #require(file >= 0)
        defer { close(file) }
        try #require(Glibc.write(file, text, text.utf8.count) == text.utf8.count)
    }

    func link(_ path: String, to target: String = "/dev/null") throws {
        try write(path)
        try remove(path)
        try #require(symlink(target, "\(root)/\(path)") == 0)
    }

    func remove(_ path: String) throws {
        try #require(unlink("\(root)/\(path)") == 0)
    }

    func has(_ path: String) -> Bool {
        var found = stat()
        return lstat("\(root)/\(path)", &found) == 0
    }

    func target(of path: String) -> String? {
        var target = [CChar](repeating: 0, count: 256)
        let length = readlink("\(root)/\(path)", &target, target.count)
        return length < 0 ? nil : String(decoding: target[..<length].map(UInt8.init), as: UTF8.self)
    }

    /// Puts a program where scripts find it first.
    func program(_ name: String, _ script: String) throws {
        try write("bin/\(name)", "#!/bin/sh\n\(script)\n")
        try #require(chmod("\(root)/bin/\(name)", 0o755) == 0)
    }

    /// Runs a command, and returns its exit status.
    private func shell(_ command: String) -> CInt {
        let status = system(command)
        return (status >> 8) & 0xFF
    }
}
