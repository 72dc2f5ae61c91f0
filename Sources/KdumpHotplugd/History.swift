// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What has happened to the crash kernel since the machine was booted, for `--history`; pure.
///
/// After an incident the first question is whether the crash kernel was right at that time. So there is
/// an entry for each reconciliation that loaded something or failed to, for each change of the verdict,
/// and for each start and stop of the daemon. The daemon keeps the last ones in a file of their own, for
/// everyone, and without addresses.
struct History: Codable, Equatable {
    /// The file beside the state file.
    static let file = "history.json"
    /// How many entries are kept: some 30 KB.
    static let most = 128

    /// Why the daemon looked.
    enum Cause: String, Codable {
        /// It was started: it knows nothing of the time before.
        case start
        /// Hotplug events.
        case hotplug
        /// Time has passed, or a step before was to be tried again.
        case routine
        /// The administrator has reloaded it.
        case request
        /// It was stopped: it knows nothing of the time after.
        case stop
    }

    /// What a dump would have lost, or what the machine no longer had.
    struct Difference: Codable, Equatable {
        /// RAM in bytes.
        let bytes: UInt64
        let cpus: [Int]
    }

    /// One thing that happened.
    struct Entry: Codable, Equatable {
        /// When it was over, in seconds since 1970.
        let time: Int
        let cause: Cause
        /// What was found, in one word: that of KDUMP_STATE.
        var found: String?
        /// What was missing from the image, and what was in it and gone; or if it was found current, what
        /// was about to come, and to leave.
        var missing: Difference?
        var phantom: Difference?
        /// How the image was refreshed, in order.
        var methods: [Report.Method] = []
        /// How long the machine was unprotected by that, in microseconds.
        var window: UInt64?
        /// Why an attempt has failed.
        var failure: String?
        /// The verdict afterwards, and why.
        let verdict: Severity
        let summary: String
        /// How often the same has failed in a row, and when the last time was; left out if once.
        var times: Int?
        var until: Int?
    }

    /// The version of `fleet/history.schema.json`.
    private(set) var version = Report.schemaVersion
    /// The oldest first.
    private(set) var entries: [Entry] = []

    /// This history and one more entry; the oldest give way.
    ///
    /// A failure that is like the one before it only counts: a retry once a minute would push everything
    /// else out.
    func adding(_ entry: Entry) -> History {
        var history = self
        if entry.failure != nil, var last = entries.last, last.isLike(entry) {
            last.times = (last.times ?? 1) + 1
            last.until = entry.time
            history.entries[history.entries.count - 1] = last
        } else {
            history.entries = entries.suffix(History.most - 1) + [entry]
        }
        return history
    }
}

extension History.Entry {
    /// Makes an entry of a reconciliation, or none where nothing has happened.
    ///
    /// `before` is the verdict of the last entry; `nil` if the daemon has just been started.
    init?(
        of outcome: Engine.Reconciliation, _ announcement: Announcement, on trigger: Trigger,
        after before: Severity?, at time: Int
    ) {
        let verdict = announcement.assessment.severity
        guard !outcome.refreshes.isEmpty || outcome.hasFailed || verdict != before else {
            return nil
        }
        let summary = announcement.assessment.sentence
        self.init(
            time: time, cause: before == nil ? .start : History.Cause(trigger), verdict: verdict,
            summary: Sentences.withoutAddresses(summary))
        found = Announcement.word(for: outcome.firstVerdict)
        if case .stale(let coverage) = outcome.firstVerdict { note(coverage) }
        if case .waiting(let coverage) = outcome.firstVerdict { note(coverage) }
        if outcome.firstVerdict == .current, let coverage = outcome.anticipated {
            note(coverage)
        }
        methods = outcome.refreshes.map { Report.Method($0.method) }
        if !methods.isEmpty { window = outcome.refreshes.map(\.window).reduce(0, +) }
        if outcome.hasFailed {
            failure = Sentences.withoutAddresses(announcement.action ?? summary)
        }
    }

    /// Makes an entry of a machine that could not be read, or none where that is not new.
    init?(unreadable assessment: Assessment, after before: Severity?, at time: Int) {
        guard before != .unknown else { return nil }
        self.init(
            time: time, cause: before == nil ? .start : .routine, verdict: .unknown,
            summary: Sentences.withoutAddresses(assessment.sentence))
    }

    /// Makes the entry of a daemon that is told to stop.
    static func stop(at time: Int) -> History.Entry {
        History.Entry(
            time: time, cause: .stop, verdict: .unknown,
            summary: "kdump-hotplugd was stopped: nobody watches the crash kernel")
    }

    private mutating func note(_ coverage: Coverage) {
        missing = History.Difference(coverage.missingMemory, coverage.missingCPUs)
        phantom = History.Difference(coverage.phantomMemory, coverage.phantomCPUs)
    }

    fileprivate func isLike(_ other: History.Entry) -> Bool {
        failure == other.failure && verdict == other.verdict && methods == other.methods
            && found == other.found
    }
}

extension History.Difference {
    /// A difference, or `nil` if there is none.
    init?(_ memory: AddressRanges, _ processors: NumberSet) {
        guard !memory.isEmpty || !processors.isEmpty else { return nil }
        (bytes, cpus) = (memory.byteCount, processors.members.sorted())
    }
}

extension History.Cause {
    init(_ trigger: Trigger) {
        self =
            switch trigger {
            case .event, .hotplug: .hotplug
            case .routine: .routine
            case .request: .request
            }
    }
}
