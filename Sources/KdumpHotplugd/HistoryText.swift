// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The history as a table for people: a line for each entry, and below it why, where not all was well.
enum HistoryText {
    private static let head = ["TIME", "WHY", "FOUND", "DONE", "UNPROTECTED", "THEN"]

    /// Writes the table; `clock` puts a time in seconds since 1970 into words.
    static func lines(of history: History, clock: (Int) -> String = localTime) -> [String] {
        guard !history.entries.isEmpty else {
            return ["kdump-hotplugd has recorded nothing since the last boot"]
        }
        let rows = history.entries.map { row($0, clock) }
        let widths = head.indices.map { column in
            ([head] + rows).map { $0[column].count }.max() ?? 0
        }
        func line(_ row: [String]) -> String {
            let cells = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }
            var line = cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
        return [line(head)]
            + zip(history.entries, rows).flatMap { entry, row in [line(row)] + reasons(entry, clock)
            }
    }

    private static func row(_ entry: History.Entry, _ clock: (Int) -> String) -> [String] {
        var done = entry.methods.map(\.rawValue).joined(separator: ", ")
        if entry.failure != nil { done += done.isEmpty ? "failed" : ", failed" }
        let window = entry.window.map(Sentences.duration) ?? "-"
        return [
            clock(entry.time), entry.cause.rawValue, found(entry), done.isEmpty ? "-" : done,
            window,
            entry.verdict.rawValue,
        ]
    }

    private static func found(_ entry: History.Entry) -> String {
        let isAhead = entry.found == Announcement.word(for: .current)
        let parts = [
            (entry.missing, isAhead ? "coming" : "missing"),
            (entry.phantom, isAhead ? "leaving" : "gone"),
        ].compactMap { difference, word in difference.map { "\(text($0)) \(word)" } }
        guard !parts.isEmpty else { return entry.found ?? "-" }
        return parts.joined(separator: ", ")
    }

    private static func text(_ difference: History.Difference) -> String {
        var parts = difference.bytes > 0 ? ["\(ByteCount(difference.bytes))"] : []
        if !difference.cpus.isEmpty {
            parts.append("CPU \(NumberSet(Set(difference.cpus)))")
        }
        return Sentences.list(parts)
    }

    /// What a line has no room for.
    private static func reasons(_ entry: History.Entry, _ clock: (Int) -> String) -> [String] {
        var reasons: [String] = []
        if let failure = entry.failure {
            let times =
                entry.times.map { ", \($0) times, last at \(clock(entry.until ?? 0))" } ?? ""
            reasons.append(failure + times)
        }
        if entry.verdict != .ok && entry.failure != entry.summary { reasons.append(entry.summary) }
        return reasons.map { "    " + Sentences.onOneLine($0) }
    }

    /// A time by the machine's own clock and zone.
    ///
    /// The corresponding C functions are `localtime_r` and `strftime`.
    static func localTime(_ seconds: Int) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        guard unsafe localtime_r(&time, &parts) != nil else { return "\(seconds)" }
        var text = [CChar](repeating: 0, count: 32)
        let length = unsafe strftime(&text, text.count, "%Y-%m-%d %H:%M:%S", &parts)
        return String(decoding: text.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
