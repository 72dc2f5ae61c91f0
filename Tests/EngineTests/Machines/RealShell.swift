// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A shell of this machine, asked what variables hold after it has read a file.
///
/// It is started by `system(3)`: tests that wait in Foundation's `Process` hang with Debian's Swift 6.2.
struct RealShell: Sendable, CustomTestStringConvertible {
    /// Its program.
    let name: String

    /// Those that the distributions' kdump tools are written for.
    static let all = [RealShell(name: "dash"), RealShell(name: "bash")]

    var testDescription: String { name }

    /// Returns the variables that are set after each of `texts`, each read by a shell of its own
    /// without an environment; `nil` where the shell could not read it.
    func values(of names: [String], after texts: [String]) throws -> [[String: String]?] {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("shell-\(UUID().uuidString)")
        // Files lie beside the working directory, so that no `*` finds one.
        let empty = directory.appendingPathComponent("empty")
        try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (number, text) in texts.enumerated() {
            try Data(text.utf8).write(to: directory.appendingPathComponent("\(number)"))
        }
        try Data(script(names, count: texts.count).utf8)
            .write(to: directory.appendingPathComponent("script"))
        let place = directory.path
        let status = system(
            "cd '\(empty.path)' && env -i \(name) '\(place)/script' '\(place)'"
                + " >'\(place)/output' 2>/dev/null")
        try #require(status == 0, "\(name) ended with the status \(status)")
        let told = try Data(contentsOf: directory.appendingPathComponent("output"))
        return RealShell.parsed(told, names, count: texts.count)
    }

    /// A loop over the files, each in a subshell that nothing can be run from, and that a syntax
    /// error ends before it prints anything.
    private func script(_ names: [String], count: Int) -> String {
        let values = names.map { "\"${\($0)+=}${\($0)-}\"" }.joined(separator: " ")
        return """
            PATH=/nowhere; n=0
            while [ $n -lt \(count) ]; do
            ( . "$1/$n" >/dev/null && printf '%s\\0' "$n" \(values) )
            n=$((n + 1))
            done
            exit 0
            """
    }

    private static func parsed(
        _ told: Data, _ names: [String], count: Int
    ) -> [[String: String]?] {
        var all = [[String: String]?](repeating: nil, count: count)
        var fields = told.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }[...]
        while fields.count > names.count, let number = fields.popFirst().flatMap({ Int($0) }) {
            var values: [String: String] = [:]
            for name in names {
                guard let value = fields.popFirst(), value.hasPrefix("=") else { continue }
                values[name] = String(value.dropFirst())
            }
            all[number] = values
        }
        return all
    }
}
