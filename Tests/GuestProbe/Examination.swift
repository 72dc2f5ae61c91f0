// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Answers the tests' questions about a dump, one line of standard input at a time.
///
///     headers               the ELF headers and notes, as they are
///     scan NONCE RUN…       which pages of the runs hold their mark, and what became of the others
///     off                   ends
///
/// Asked and not told: a scan of all memory would take minutes under emulation, and only the tests
/// know which pages they marked.
struct Examination {
    /// The tests are gone if they ask nothing for so long; the guest must not run for ever.
    private static let patience: CInt = 120_000

    private let core: CoreFile

    init(of path: String) throws(ProbeError) {
        do {
            core = try CoreFile(path)
        } catch {
            send("error", Array("\(error)".utf8))
            throw error
        }
        send("ready", [])
    }

    func serve() throws(ProbeError) {
        while let line = nextLine() {
            let words = line.split(separator: " ")
            switch words.first {
            case "headers":
                send("headers", core.headers)
            case "scan":
                guard words.count > 1, let nonce = UInt64(words[1], radix: 16) else { continue }
                send("scan", Array(scan(words.dropFirst(2), nonce).utf8))
            case "off":
                send("off", [])
                return
            default:
                send("error", Array("unknown question: \(line)".utf8))
            }
        }
    }

    private func scan(_ wanted: ArraySlice<Substring>, _ nonce: UInt64) -> String {
        let page = UnsafeMutableRawPointer.allocate(byteCount: MarkedPage.size, alignment: 4096)
        defer { page.deallocate() }
        var findings: [String: [UInt64]] = [:]
        for run in wanted {
            let numbers = run.split(separator: "+").compactMap { UInt64($0, radix: 16) }
            guard numbers.count == 2 else { continue }
            for index in 0..<numbers[1] {
                let address = numbers[0] + index * UInt64(MarkedPage.size)
                findings[finding(at: address, nonce, page), default: []].append(address)
            }
        }
        return findings.map { "\($0.key) \(runs(of: $0.value))\n" }.joined()
    }

    private func finding(
        at address: UInt64, _ nonce: UInt64, _ page: UnsafeMutableRawPointer
    ) -> String {
        switch core.read(address, into: page) {
        case .absent: "absent"
        case .unreadable(let code): "unreadable-\(code)"
        case .page:
            switch MarkedPage(address: address, nonce: nonce).look(at: page) {
            case .intact: "intact"
            case .damaged: "damaged"
            case .unmarked: "unmarked"
            }
        }
    }

    private func nextLine() -> String? {
        var line: [UInt8] = []
        while true {
            var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, Self.patience) == 1 else { return nil }
            var byte: UInt8 = 0
            guard read(0, &byte, 1) == 1 else { return nil }
            guard byte != UInt8(ascii: "\n") else { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
    }
}
