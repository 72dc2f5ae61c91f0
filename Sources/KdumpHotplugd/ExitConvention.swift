// SPDX-License-Identifier: Apache-2.0

/// What the exit code of `--check` means, by the custom of the program that runs it.
enum ExitConvention: String, CaseIterable {
    /// That of monitoring plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    case plugin
    /// That of node-problem-detector's custom plugins: 0 no problem, 1 a problem, 2 unknown.
    case npd

    /// The exit code for a verdict.
    ///
    /// A dump that is complete now is no problem for node-problem-detector, which knows no warnings.
    func code(for severity: Severity) -> Int32 {
        switch (self, severity) {
        case (.plugin, _): severity.exitCode
        case (.npd, .ok), (.npd, .warning): 0
        case (.npd, .critical): 1
        case (.npd, .unknown): 2
        }
    }

    /// How much of a custom plugin's output node-problem-detector keeps, in bytes, unless it is told
    /// otherwise (`max_output_length`).
    private static let mostBytes = 80

    /// The report in one line of at most 80 bytes.
    static func line(of report: Report) -> String {
        let whole = Sentences.onOneLine("\(report.verdict.rawValue) - \(report.summary)")
        guard whole.utf8.count > mostBytes else { return whole }
        var line = whole
        while line.utf8.count > mostBytes - 3 { line.removeLast() }
        return line + "..."
    }
}
