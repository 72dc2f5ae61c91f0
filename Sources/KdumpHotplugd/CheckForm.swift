// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the health check prints, and with which exit code it ends; it finds nothing out itself.
struct CheckForm: Equatable {
    /// What is printed.
    enum Text: Equatable {
        /// The verdict and a line for each fact, in the way of the `ExitConvention`.
        case lines
        /// One JSON object.
        case json
        /// Nothing: the exit code is enough.
        case nothing
    }

    var text: Text = .lines
    var exits: ExitConvention = .plugin
    /// Whether standard output is read by a person: then in colour, and without numbers for machines.
    var isForPeople = false
    /// Whether colours are wanted.
    var wantsColour = true

    /// Writes what the check has found, or returns `nil` where nothing is to be printed.
    func output(of finding: Check.Finding, now: Int) -> String? {
        let report = finding.report
        switch (text, exits) {
        case (.nothing, _): return nil
        case (.json, _):
            return String(decoding: ReportJSON.bytes(of: report, pretty: true), as: UTF8.self)
        case (.lines, .npd): return ExitConvention.line(of: report)
        case (.lines, .plugin):
            var clean = report
            clean.summary = Sentences.onOneLine(report.summary)
            var lines = ReportText.lines(of: clean, now: now, inColour: isForPeople && wantsColour)
            if !isForPeople {
                let numbers = Performance.text(
                    of: report, age: finding.age, lifetime: finding.lifetime)
                lines[0] = Performance.line(lines[0], numbers)
            }
            return (lines + finding.note).joined(separator: "\n")
        }
    }

    /// Whether standard output is a terminal.
    ///
    /// The corresponding C function is `isatty`.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Whether the user's environment asks for plain text: NO_COLOR is set and not empty, by the custom
    /// of no-color.org.
    ///
    /// The corresponding C function is `getenv`.
    static var environmentWantsPlain: Bool {
        unsafe getenv("NO_COLOR").map { unsafe $0.pointee != 0 } ?? false
    }
}
