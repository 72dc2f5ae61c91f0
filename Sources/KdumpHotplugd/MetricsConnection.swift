// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// A connection of systemd-report: requests on standard input, replies on standard output, each ended by
/// a NUL.
///
/// systemd starts one process for each connection (`Accept=yes`), so that the daemon is no server. It
/// needs no privilege: it reads what everyone may read.
enum MetricsConnection {
    /// How long a request may be, in bytes; the longest that is understood has some hundred.
    private static let most = 65_536

    /// Answers until the client closes the connection or asks what is no request; returns the exit code.
    static func run() -> Int32 {
        let directory = StateDirectory(below: SystemRoot("/"))
        var pending: [UInt8] = []
        while let bytes = read() {
            pending += bytes
            while let end = pending.firstIndex(of: 0) {
                let request = Array(pending[..<end])
                pending.removeFirst(end + 1)
                guard let replies = provider(of: directory).replies(to: request) else {
                    Command.complain("a request on the socket of systemd-report is not understood")
                    return EXIT_FAILURE
                }
                for reply in replies where !write(reply + [0]) { return EXIT_FAILURE }
            }
            guard pending.count <= most else {
                Command.complain("a request on the socket of systemd-report is too long")
                return EXIT_FAILURE
            }
        }
        return EXIT_SUCCESS
    }

    /// What there is to tell now.
    private static func provider(of directory: StateDirectory) -> MetricsProvider {
        let state = directory.read("state.json").flatMap { ReportJSON.value(State.self, from: $0) }
        let last = LastReport(state, now: Int(time(nil)), pid: directory.runningDaemon())
        return MetricsProvider(last: last, state: state)
    }

    /// The next bytes, or `nil` at the end or after an error.
    ///
    /// The corresponding C function is `read`.
    private static func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = unsafe Glibc.read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            return count > 0 ? Array(buffer[..<count]) : nil
        }
    }

    /// Writes all bytes; returns whether the client took them.
    ///
    /// The corresponding C function is `write`.
    private static func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { rest in
                unsafe Glibc.write(STDOUT_FILENO, rest.baseAddress, rest.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
