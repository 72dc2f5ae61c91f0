// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// A file of lines that becomes a table of the documents, where a variable of the environment names one.
///
/// What begins the file is written by the Makefile.
struct ResultTable {
    /// The variable's name.
    let variable: String

    /// Tests at the same time must not write into each other's lines.
    private static let lock = Mutex(())

    /// The lines that are there; none if there is no such file.
    var lines: [Substring] {
        let path = ProcessInfo.processInfo.environment[variable]
        let text = path.flatMap { try? String(contentsOfFile: $0, encoding: .utf8) }
        return text?.split(separator: "\n") ?? []
    }

    /// Adds a line, or several at once, if there is such a file.
    func add(_ line: String) throws {
        guard let path = ProcessInfo.processInfo.environment[variable] else { return }
        try Self.lock.withLock { _ in
            let file = try FileHandle(forUpdating: URL(filePath: path))
            defer { try? file.close() }
            try file.seekToEnd()
            try file.write(contentsOf: Data((line + "\n").utf8))
        }
    }
}
