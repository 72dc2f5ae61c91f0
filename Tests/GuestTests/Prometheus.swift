// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Guest
import Testing

/// A real Prometheus on this machine's loopback that scrapes the node_exporter in a guest.
///
/// Guests have no network. So a port of this machine stands for the guest's: what comes in is told to the
/// node_exporter by the guest's shell, and its answer goes back as it is. It all happens on the thread of
/// the test, in ``wait(for:from:)``, because a guest does one thing at a time.
final class Prometheus {
    private let packages: String
    private let directory: URL
    private let listener: CInt
    private let port: UInt16
    private let process = Process()
    /// Prometheus ends with this object, and also if the tests are killed.
    private let lifeline = Pipe()

    /// It does not wait for the end of what it has killed: threads of a test run have SIGCHLD blocked, and
    /// a shell that inherits that waits for ever.
    private static let watcher = #""$@" </dev/null & read -r _; kill -KILL $!"#

    /// Debian's Prometheus and node_exporter, unpacked.
    static let packages = Result { () throws -> String in
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: repository(".ci/unpacked"))
        process.arguments = ["prometheus", "prometheus-node-exporter"]
        process.standardOutput = output
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return String(decoding: said, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    /// Starts it with the rules that ship; `for` says how long an alert is pending, so that nobody waits
    /// for minutes.
    ///
    /// A resumed guest's clock is as late as it was saved, so the rules are told how late.
    init(watching guest: Machine, for pending: String) throws {
        packages = try Self.packages.get()
        directory = FileManager.default.temporaryDirectory.appending(
            path: "prometheus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        let guestPort: UInt16
        (listener, guestPort) = try Self.listen()
        let (probe, own) = try Self.listen()
        close(probe)
        port = own
        let rules = try String(contentsOfFile: repository("fleet/rules.yml"), encoding: .utf8)
        let guestTime = try #require(Int(try guest.expect("date +%s")))
        let late = Int(Date().timeIntervalSince1970) - guestTime
        try rules.replacing(/for: [0-9]+m/, with: "for: \(pending)")
            .replacing("time()", with: "(time() - \(late))").write(
                to: directory.appending(path: "rules.yml"), atomically: true, encoding: .utf8)
        try """
        global: {scrape_interval: 4s, scrape_timeout: 4s, evaluation_interval: 1s}
        rule_files: [rules.yml]
        scrape_configs:
          - job_name: node
            static_configs: [{targets: ["127.0.0.1:\(guestPort)"]}]
        """.write(
            to: directory.appending(path: "prometheus.yml"), atomically: true, encoding: .utf8)
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = [
            "-c", Self.watcher, "prometheus", "\(packages)/usr/bin/prometheus",
            "--config.file=\(directory.path)/prometheus.yml",
            "--storage.tsdb.path=\(directory.path)/data",
            "--web.listen-address=127.0.0.1:\(own)",
        ]
        process.standardInput = lifeline
        let log = directory.appending(path: "log")
        try Data().write(to: log)
        process.standardError = try FileHandle(forWritingTo: log)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        try? lifeline.fileHandleForWriting.close()
        process.waitUntilExit()
        close(listener)
        try? FileManager.default.removeItem(at: directory)
    }

    /// Waits until an expression has a value, and returns what promtool says of it; scrapes the guest
    /// meanwhile.
    func wait(for expression: String, from guest: Machine) throws -> String {
        let end = ContinuousClock.now + Machine.patience
        while ContinuousClock.now < end {
            let answer = try query(expression)
            if !answer.isEmpty { return answer }
            try serve(guest)
        }
        let log = try String(contentsOf: directory.appending(path: "log"), encoding: .utf8)
        throw TooLong(description: "\(expression)\n\(try query("{__name__=~\".+\"}"))\n\(log)")
    }

    struct TooLong: Error, CustomStringConvertible { let description: String }

    /// What an expression is now; empty where it has no value.
    func query(_ expression: String) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "\(packages)/usr/bin/promtool")
        process.arguments = ["query", "instant", "http://127.0.0.1:\(port)", expression]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: said, as: UTF8.self).trimmingCharacters(in: .newlines)
    }

    /// Answers one scrape, if one comes within a second.
    private func serve(_ guest: Machine) throws {
        var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 1_000) > 0 else { return }
        let client = accept(listener, nil, nil)
        try #require(client >= 0)
        defer { close(client) }
        var request = [UInt8](repeating: 0, count: 4_096)
        guard read(client, &request, request.count) > 0 else { return }
        let answer = try guest.expect(
            """
            exec 3<>/dev/tcp/127.0.0.1/9100 && \
            printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3
            """)
        let bytes = Array((answer + "\n").utf8)
        _ = bytes.withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Listens on a free port of the loopback.
    private static func listen() throws -> (descriptor: CInt, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && Glibc.listen(descriptor, 8) == 0
                    && getsockname(descriptor, address, &length) == 0
            }
        }
        try #require(result)
        return (descriptor, address.sin_port.bigEndian)
    }
}

/// Makes a path of the repository's root and what follows it.
func repository(_ path: String) -> String {
    URL(filePath: #filePath).appending(path: "../../../\(path)").standardized.path
}
