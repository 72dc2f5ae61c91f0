// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Raw numbers on their way into a file of comma-separated values, a line as soon as it is known.
///
/// An interrupted benchmark leaves what it has measured. No value has a comma in it.
final class Table {
    private let file: FileHandle

    /// Begins a file anew with the day, the processor and the names of its columns.
    init(_ name: String, in directory: String, columns: [String]) throws {
        let path = "\(directory)/\(name).csv"
        let day = Date.now.formatted(.iso8601.year().month().day())
        let head = "# \(day), \(Self.processor)\n" + columns.joined(separator: ",") + "\n"
        try Data(head.utf8).write(to: URL(filePath: path))
        file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.seekToEnd()
    }

    /// What this machine's processors call themselves; nothing that names the machine.
    private static let processor: String = {
        let lines =
            (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
            .split(separator: "\n") ?? []
        let model = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        return model.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
    }()

    func add(_ values: [String]) {
        file.write(Data((values.joined(separator: ",") + "\n").utf8))
    }
}

/// Microseconds with as many digits as the kernel's record has.
func micro(_ value: Double) -> String { String(format: "%.0f", value) }

/// Says on the standard error how far it is.
func progress(_ words: String) {
    FileHandle.standardError.write(Data("[bench] \(words)\n".utf8))
}
