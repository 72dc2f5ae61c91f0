// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// One QEMU process, which cannot outlive the process of the tests.
///
/// A shell between the two waits for the end of its standard input, which comes when this object
/// goes or the tests die in whatever way, and then kills QEMU. A parent-death signal alone would
/// not do: Linux sends it when the *thread* that started the child ends.
final class Emulator {
    private static let watcher = #"""
        setpriv --pdeathsig KILL "$@" </dev/null & read -r _; kill -KILL $! 2>/dev/null; wait $!
        """#

    private let process = Process()
    private let lifeline = Pipe()

    /// Starts the QEMU that is `program`, with `library` preloaded; what it says goes to the guest's `files`.
    init(
        _ program: String, arguments: [String], files: MachineFiles, preloading library: String?
    ) throws(GuestError) {
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", Self.watcher, "guest", program] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["LD_PRELOAD": library ?? ""]) { $1 }
        process.standardInput = lifeline
        do {
            try Data().write(to: URL(filePath: files.messages))
            let file = try FileHandle(forWritingTo: URL(filePath: files.messages))
            process.standardOutput = file
            process.standardError = file
            try Self.withoutBlockedSignals { try process.run() }
        } catch {
            throw .tool("qemu: \(error)")
        }
    }

    deinit { kill() }

    /// Ends QEMU and waits until it is gone; harmless when it has ended by itself.
    ///
    /// Returns how it ended, as a shell says it: 0 by itself, as when the guest was reset, and above
    /// 128 by a signal.
    @discardableResult
    func kill() -> Int32 {
        try? lifeline.fileHandleForWriting.close()
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Runs `body` with no signal blocked on this thread.
    ///
    /// Threads of a test run have nearly all blocked, a child inherits that, and a shell without
    /// SIGCHLD waits for ever.
    private static func withoutBlockedSignals(_ body: () throws -> Void) rethrows {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }
}
