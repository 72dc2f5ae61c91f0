// SPDX-License-Identifier: Apache-2.0

/// A report as numbers for Prometheus, in its text format.
///
/// A number that is not known is left out: zero bytes would be a claim. It needs no library: the format
/// is a few lines of text. It judges nothing.
enum ReportMetrics {
    /// The file beside the state file; node_exporter reads only names that end in `.prom`.
    static let file = "metrics.prom"

    /// Writes the numbers of the daemon's last state.
    static func text(of state: State) -> String {
        families(of: state).filter { !$0.samples.isEmpty }.map(text).joined()
    }

    /// All families, also those without a number.
    static func families(of state: State) -> [MetricFamily] {
        let tally = state.tally ?? Tally()
        return health(state.report) + machine(state.report) + [
            MetricFamily(
                .gauge, "kdump_last_check_timestamp_seconds", .count(UInt64(max(0, state.time))),
                "When the daemon last looked at the machine, in seconds since 1970."),
            MetricFamily(
                .gauge, "kdump_check_lifetime_seconds", state.lifetime.map { .count(UInt64($0)) },
                "How many seconds after the last check its result is too old to be relied on."),
            MetricFamily(
                .gauge, "kdump_last_refresh_timestamp_seconds",
                state.report.daemon.lastRefresh.map { .count(UInt64(max(0, $0.time))) },
                "When the daemon last loaded a crash kernel, in seconds since 1970."),
            MetricFamily(
                .gauge, "kdump_hotplugd_build_info", by: "version", [(Command.version, .count(1))],
                "The version of the daemon; always 1."),
        ] + counters(tally)
    }

    /// How good the crash kernel is.
    private static func health(_ report: Report) -> [MetricFamily] {
        let isComplete = report.verdict == .ok || report.verdict == .warning
        return [
            MetricFamily(
                state: "kdump_check_state", Severity.allCases.map(word), is: word(report.verdict),
                "The verdict of kdump-hotplugd --check: 1 for the present one."),
            MetricFamily(
                .gauge, "kdump_dump_complete", flag(isComplete),
                "Whether a crash now leaves a complete dump; 0 also where that is not known."),
            MetricFamily(
                .gauge, "kdump_loaded", report.loaded.map(flag),
                "Whether a crash kernel is loaded."),
            MetricFamily(
                state: "kdump_image_integrity", Report.Integrity.allCases.map(\.rawValue),
                is: report.integrity.rawValue,
                "Whether the digest of the loaded image matches its contents."),
            MetricFamily(
                .gauge, "kdump_command_line_lacks",
                report.commandLine.map { .count(UInt64($0.lacks.count)) },
                "Parameters that this machine needs and the crash kernel's command line lacks."),
        ]
    }

    /// What the machine has, and what the crash kernel does not know of it.
    private static func machine(_ report: Report) -> [MetricFamily] {
        let memory = report.memory
        // Without it, what is missing is not known.
        let isCompared = memory?.covered != nil
        return [
            MetricFamily(
                .gauge, "kdump_reserved_bytes", report.reserved.map(bytes),
                "Memory that is reserved for the crash kernel."),
            MetricFamily(
                .gauge, "kdump_memory_bytes", memory.map { .count($0.present) },
                "RAM of the machine that a dump has to hold."),
            MetricFamily(
                .gauge, "kdump_memory_missing_bytes",
                isCompared ? memory.map { bytes($0.missing) } : nil,
                "RAM that a crash now would lose."),
            MetricFamily(
                .gauge, "kdump_memory_phantom_bytes",
                isCompared ? memory.map { bytes($0.phantom) } : nil,
                "RAM that the crash kernel lists and the machine no longer has."),
            MetricFamily(
                .gauge, "kdump_cpus", report.cpus.map { .count(UInt64($0.present.count)) },
                "CPUs of the machine."),
            MetricFamily(
                .gauge, "kdump_cpus_missing",
                isCompared ? report.cpus.map { .count(UInt64($0.missing.count)) } : nil,
                "CPUs that a crash now would lose."),
        ]
    }

    /// What the daemon has done since the boot of the machine.
    private static func counters(_ tally: Tally) -> [MetricFamily] {
        [
            MetricFamily(
                .counter, "kdump_refreshes_total", by: "method",
                [
                    ("patch", count(tally.patches)), ("replay", count(tally.replays)),
                    ("reload", count(tally.reloads)),
                ],
                "Loads by the daemon that succeeded."),
            MetricFamily(
                .counter, "kdump_refresh_failures_total", count(tally.failures),
                "Attempts of the daemon after which the crash kernel was not right."),
            MetricFamily(
                .counter, "kdump_unprotected_seconds_total", .microseconds(tally.unprotected),
                "How long a crash would have left no dump because of the daemon's loads."),
            MetricFamily(
                .counter, "kdump_hotplug_events_total", by: "subsystem",
                [("cpu", count(tally.cpuEvents)), ("memory", count(tally.memoryEvents))],
                "Hotplug events that the daemon has read."),
        ]
    }

    private static func flag(_ value: Bool) -> MetricFamily.Value { .count(value ? 1 : 0) }

    private static func count(_ number: Int) -> MetricFamily.Value {
        .count(UInt64(max(0, number)))
    }

    private static func bytes(_ ranges: [Report.Range]) -> MetricFamily.Value {
        .count(ranges.map(\.size).reduce(0, +))
    }

    private static func word(_ severity: Severity) -> String { severity.rawValue.lowercased() }

    /// Writes one family.
    static func text(_ family: MetricFamily) -> String {
        let help = escaped(family.help, alsoQuotes: false)
        let head = """
            # HELP \(family.name) \(help)
            # TYPE \(family.name) \(family.kind.rawValue)

            """
        return family.samples.reduce(into: head) { text, sample in
            let label = sample.label.map { #"{\#($0.name)="\#(escaped($0.value))"}"# } ?? ""
            text += "\(family.name)\(label) \(sample.value.digits)\n"
        }
    }

    /// Escapes a label's value, or a help text, where quotes stand for themselves.
    private static func escaped(_ text: String, alsoQuotes: Bool = true) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += #"\\"#
            case "\n": result += #"\n"#
            case "\"" where alsoQuotes: result += #"\""#
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
