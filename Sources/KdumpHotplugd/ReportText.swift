// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// A report for people: first the verdict and its sentence, then a line for each fact.
enum ReportText {
    /// Writes a report; `now` is the time in seconds since 1970.
    static func lines(of report: Report, now: Int, inColour: Bool = false) -> [String] {
        let verdict = "KDUMP \(report.verdict.rawValue)"
        let head = inColour ? coloured(verdict, report.verdict) : verdict
        var lines = ["\(head) - \(report.summary)"]
        func add(_ name: String, _ value: String) {
            lines.append(name + String(repeating: " ", count: 14 - name.count) + value)
        }
        add("loaded", loaded(report))
        add("reserved", reserved(report.reserved))
        if report.loaded == true { add("updated by", updater(of: report)) }
        if let header = report.coreHeader {
            add("core header", text(header.place) + ", \(header.entries) entries")
        }
        if let tree = report.deviceTree {
            add("device tree", text(tree.place) + ", CPUs \(NumberSet(Set(tree.cpus)))")
        }
        if report.loaded == true { add("integrity", integrity(report.integrity)) }
        if let line = report.commandLine {
            add("command line", line.text)
            for parameter in line.lacks { lines.append("  missing: \(parameter)") }
        }
        if report.targetKeys == true {
            add("target keys", "in the image: a dump can be written to its encrypted target")
        }
        if let memory = report.memory {
            add("memory", ByteCount(memory.present).description + coverage(memory))
            lines += ranges("missing", memory.missing) + ranges("phantom", memory.phantom)
        }
        if let cpus = report.cpus {
            add("CPUs", "\(NumberSet(Set(cpus.present)))" + difference(cpus))
        }
        if let reason = report.patchObstacle { add("no patch", reason) }
        if let source = source(of: report.reload) { add("reload from", source) }
        for obstacle in report.obstacles { add("obstacle", obstacle) }
        if let reason = report.reload?.obstacle, !report.obstacles.contains(reason) {
            add("no reload", reason)
        }
        add("last refresh", lastRefresh(report.daemon.lastRefresh, now: now))
        add("daemon", report.daemon.running ? "running" + pid(report.daemon) : "not running")
        return lines
    }

    /// Bold green, yellow, red or magenta, with the codes of ECMA-48.
    private static func coloured(_ text: String, _ severity: Severity) -> String {
        let colour =
            switch severity {
            case .ok: 32
            case .warning: 33
            case .critical: 31
            case .unknown: 35
            }
        return "\u{1B}[1;\(colour)m\(text)\u{1B}[0m"
    }

    private static func integrity(_ integrity: Report.Integrity) -> String {
        switch integrity {
        case .verified: "verified: the digest matches the contents"
        case .mismatch: "MISMATCH: a crash would hang before the capture kernel starts"
        case .none: "no digest: damage would go unnoticed"
        case .unknown: "unknown"
        }
    }

    private static func loaded(_ report: Report) -> String {
        guard let loaded = report.loaded else { return "unknown" }
        return loaded ? "yes" + (report.loader.map { ", by \($0)" } ?? "") : "no"
    }

    private static func reserved(_ ranges: [Report.Range]?) -> String {
        guard let ranges else { return "unknown" }
        guard !ranges.isEmpty else { return "none" }
        return ranges.map(text).joined(separator: ", ")
    }

    private static func text(_ range: Report.Range) -> String {
        "\(ByteCount(range.size))" + (range.start.map { " at \($0)" } ?? "")
    }

    private static func updater(of report: Report) -> String {
        if report.kernelUpdates { return "the kernel" }
        guard report.refresh != .none else {
            // Other images may need a reload some day, even if this look saw none for a moment.
            return report.reload == nil ? "nothing: it never goes stale" : "nothing"
        }
        guard report.daemon.running, report.obstacles.isEmpty else { return "nothing" }
        return "kdump-hotplugd, by \(report.refresh.rawValue)"
    }

    private static func source(of reload: Report.Reload?) -> String? {
        guard let reload, let kernel = reload.kernel else { return nil }
        let files = kernel + (reload.initrd.map { " with \($0)" } ?? "")
        return files + (reload.from.map { ", set in \($0)" } ?? "")
            + (reload.replaces.map { "; it is \($0)" } ?? "")
    }

    private static func coverage(_ memory: Report.Memory) -> String {
        guard let covered = memory.covered else { return "" }
        let share = memory.coveredPercent.map { " (\($0) %)" } ?? ""
        return covered == memory.present
            ? ", all covered" : ", \(ByteCount(covered)) covered\(share)"
    }

    private static func ranges(_ name: String, _ ranges: [Report.Range]) -> [String] {
        ranges.map { "  \(name): \(text($0))" }
    }

    private static func difference(_ cpus: Report.Processors) -> String {
        let unbootable = cpus.unbootable ?? []
        return (cpus.missing.isEmpty ? "" : ", missing \(NumberSet(Set(cpus.missing)))")
            + (cpus.phantom.isEmpty ? "" : ", phantom \(NumberSet(Set(cpus.phantom)))")
            + (unbootable.isEmpty ? "" : ", no dump of a crash on \(NumberSet(Set(unbootable)))")
    }

    private static func lastRefresh(_ refresh: Report.LastRefresh?, now: Int) -> String {
        guard let refresh else { return "none" }
        let age = Sentences.age(seconds: now - refresh.time)
        let window = Sentences.duration(microseconds: refresh.window)
        return "\(age) ago, by \(refresh.method.rawValue), \(window) unprotected"
    }

    private static func pid(_ daemon: Report.Daemon) -> String {
        daemon.pid.map { ", pid \($0)" } ?? ""
    }
}
