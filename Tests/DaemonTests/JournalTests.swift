// SPDX-License-Identifier: Apache-2.0

import CSystemd
import Glibc
import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// What the journal is given.
    @Suite struct JournalTests {
        @Test func aMessageIsFields() {
            let message = Journal.Message(
                .refreshed, "loaded again\nby reload", [(.refresh, "reload"), (.window, "915000")],
                file: "KdumpHotplugd/Daemon.swift", line: 7, function: "refresh()")
            #expect(
                message.fields == [
                    "MESSAGE=loaded again\nby reload", "PRIORITY=5",
                    "MESSAGE_ID=2600c549197a42319dadf1a39fe8ead5",
                    "CODE_FILE=KdumpHotplugd/Daemon.swift", "CODE_LINE=7", "CODE_FUNC=refresh()",
                    "KDUMP_REFRESH=reload", "KDUMP_WINDOW_USEC=915000",
                ])
        }

        @Test func theCompilerFillsInThePlace() {
            let fields = Journal.Message(.idle, "").fields
            #expect(fields.contains("CODE_FILE=DaemonTests/JournalTests.swift"))
        }

        @Test func eachVectorIsAField() {
            var read: [String] = []
            Journal.withVectors(of: ["A=1", "B=", "C=ä\n"]) { vectors in
                read = vectors.map { vector in
                    let bytes = UnsafeRawBufferPointer(
                        start: vector.iov_base, count: vector.iov_len)
                    return String(decoding: bytes, as: UTF8.self)
                }
            }
            #expect(read == ["A=1", "B=", "C=ä\n"])
        }

        @Test func onlyALossIsAnAlert() {
            #expect(
                JournalEntry.allCases.filter { $0.priority <= LOG_ALERT } == [
                    .unprotected, .unprotectedObstacle,
                ])
        }

        /// The journal refuses a whole message for one bad name.
        @Test(arguments: Journal.Field.allCases)
        func aNameIsOneTheJournalTakes(field: Journal.Field) {
            #expect(field.rawValue.wholeMatch(of: /[A-Z][A-Z0-9_]{0,63}/) != nil)
        }

        @Test func aTerminalSeesTheTextAndAJournalStreamDoesNot() {
            let file = (device: UInt(8), inode: UInt(31))
            #expect(!Journal.echoes(stream: "8:31", standardError: file))
            #expect(Journal.echoes(stream: nil, standardError: file))
            #expect(Journal.echoes(stream: "8:32", standardError: file))
            #expect(Journal.echoes(stream: "", standardError: file))
            #expect(!Journal.echoes(stream: nil, standardError: nil))
        }
    }
}

/// Reads a whole text file.
func read(_ path: String) throws -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    try #require(file >= 0, "\(path)")
    defer { close(file) }
    var text: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4096)
    while case let count = read(file, &block, block.count), count > 0 {
        text += block[..<count]
    }
    return String(decoding: text, as: UTF8.self)
}
