// SPDX-License-Identifier: Apache-2.0

/// The performance data of a monitoring plugin: numbers behind the first line, after a `|`.
///
/// The form is that of the Monitoring Plugins development guidelines: `label=value;warn;crit;min`. The
/// thresholds are for whoever draws or reads the numbers; the verdict does not come from them. What is
/// not known is left out.
enum Performance {
    /// Writes the numbers; `age` is how old the report is, and `lifetime` how old it may be, in
    /// seconds.
    static func text(of report: Report, age: Int?, lifetime: Int) -> String {
        var numbers: [String] = []
        if let memory = report.memory, memory.covered != nil {
            numbers.append("missing=\(bytes(memory.missing))B;;0:0;0")
            numbers.append("phantom=\(bytes(memory.phantom))B;0:0;;0")
            if let cpus = report.cpus {
                numbers.append("cpus_missing=\(cpus.missing.count);;0:0;0")
            }
        }
        if let refresh = report.daemon.lastRefresh {
            let seconds = MetricFamily.Value.microseconds(refresh.window).digits
            numbers.append("window=\(seconds)s")
        }
        if let age { numbers.append("age=\(age)s;\(lifetime);\(3 * lifetime)") }
        return numbers.joined(separator: " ")
    }

    /// The first line of the output with the numbers behind it.
    ///
    /// A `|` in a sentence, as part of a file's name, would begin the numbers too early.
    static func line(_ first: String, _ numbers: String) -> String {
        let words = first.map { $0 == "|" ? "¦" : $0 }
        return String(words) + (numbers.isEmpty ? "" : "|\(numbers)")
    }

    private static func bytes(_ ranges: [Report.Range]) -> UInt64 {
        ranges.map(\.size).reduce(0, +)
    }
}
