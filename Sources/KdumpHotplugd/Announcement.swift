// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What the daemon says about one reconciliation in the journal and in its status line; pure.
///
/// It says what was done, followed by the assessment, word for word. It decides nothing.
struct Announcement: Equatable {
    /// Which message it is.
    let entry: JournalEntry
    /// How bad the state is now, and why.
    let assessment: Assessment
    /// What was done, in lower case; `nil` if nothing was.
    let action: String?
    private let facts: [Journal.Field: String]

    /// The status line of the service.
    var status: String { "\(assessment.severity.rawValue) - \(text)" }

    /// The message for the journal.
    var message: Journal.Message {
        Journal.Message(
            entry, Sentences.capitalised(text),
            Journal.Field.allCases.compactMap { field in facts[field].map { (field, $0) } })
    }

    private var text: String { (action.map { "\($0): " } ?? "") + assessment.sentence }

    /// Whether it deserves a line although no event caused it: a routine look does not if the state
    /// is still what the last message said.
    func isNews(after last: Announcement?) -> Bool {
        guard entry != .refreshed, let last else { return true }
        guard last.entry == .refreshed else { return entry != last.entry }
        return assessment.severity != last.assessment.severity
    }

    /// Announces what a reconciliation did and found.
    init(of outcome: Engine.Reconciliation, _ assessment: Assessment) {
        var facts = Announcement.facts(assessment)
        facts[.state] = Announcement.word(for: outcome.look.verdict)
        switch outcome.end {
        case .settled where outcome.leavesNoRefresh:
            entry = Announcement.entry(for: outcome.look.verdict, assessment.severity)
            action = outcome.rival.map(Sentences.yielding)
        case .stillMoving where outcome.leavesNoRefresh, .postponed where outcome.leavesNoRefresh:
            entry = .retry
            action = "the machine is still changing"
        case .resting where outcome.leavesNoRefresh:
            entry = .retry
            action =
                "recent loads have used up the unprotected time allowed in ten seconds, so the"
                + " next one waits"
        case .settled, .stillMoving, .postponed, .resting:
            entry = .refreshed
            action = Announcement.refreshed(outcome)
            facts[.window] = "\(outcome.window)"
            facts[.refresh] = outcome.refreshes.last.map { Report.Method($0.method).rawValue }
        case .blocked(let obstacle):
            let isLoaded = outcome.look.observation.support.isLoaded == true
            entry = isLoaded ? .obstacle : .unprotectedObstacle
            // The assessment does not know an obstacle that came up only during the attempt.
            action = obstacle == assessment.obstacle ? nil : "no reload: \(obstacle)"
            facts[.obstacle] = "\(obstacle)"
        case .uncured:
            // That the reload did not help is in the assessment.
            entry = .refreshFailed
            action = nil
        case .busy:
            entry = .retry
            action = "the kernel is busy with another load, or may be crashing"
        case .changing(let reason):
            entry = .retry
            action = "the machine is changing (\(reason)), so the patch waits a moment"
        case .held(let holder):
            entry = .retry
            action = "waiting for \(Sentences.name(of: holder)), which holds \(holder.path)"
        case .refused(let error):
            entry = .refreshFailed
            action = "the reload failed (\(error)) and the old image is still loaded"
            facts[.errno] = Announcement.number(of: error)
        case .restored(let reason):
            entry = .refreshFailed
            action =
                "the reload failed after the old image was dropped (\(reason)), and that image was"
                + " loaded again from reserved memory"
            facts[.window] = "\(outcome.window)"
            facts[.refresh] = Report.Method.replay.rawValue
        case .unprotected(let error):
            entry = .unprotected
            action = "NOT PROTECTED (\(error))"
            facts[.errno] = Announcement.number(of: error)
        }
        self.assessment = assessment
        self.facts = facts
    }

    /// Announces that the machine could not be looked at.
    init(unreadable error: SystemError) {
        assessment = Assessment(unreadable: error)
        entry = .unverified
        action = nil
        facts = Announcement.facts(assessment).merging([.errno: "\(error.errno)"]) { $1 }
    }

    /// Announces that the machine is not looked at now.
    init(unknownBecause reason: String) {
        assessment = Assessment(unknownBecause: reason)
        entry = .unverified
        action = nil
        facts = Announcement.facts(assessment)
    }

    /// The error number of a failure; `nil` where it has none.
    private static func number(of error: SystemError) -> String? {
        error.errno == 0 ? nil : "\(error.errno)"
    }

    private static func facts(_ assessment: Assessment) -> [Journal.Field: String] {
        [.verdict: assessment.severity.rawValue, .summary: assessment.sentence]
    }

    /// The message for a look after which nothing was loaded.
    private static func entry(for verdict: Verdict, _ severity: Severity) -> JournalEntry {
        switch verdict {
        case .unsupported, .nothingReserved, .leftToFirmware: .impossible
        case .nothingLoaded, .lost: .idle
        case .waiting: .waiting
        case .current, .neverStale, .trusted: severity == .ok ? .current : .atRisk
        case .unverified: .unverified
        // These need a refresh, so such a reconciliation has another end.
        case .stale, .broken, .missingParameter: .refreshFailed
        }
    }

    /// Says how the image was refreshed, how long that left the machine unprotected, and why it was
    /// not patched.
    private static func refreshed(_ outcome: Engine.Reconciliation) -> String {
        let duration = Sentences.duration(microseconds: outcome.window)
        let total = Sentences.duration(microseconds: outcome.refreshes.map(\.window).reduce(0, +))
        let several = outcome.refreshes.count > 1
        var action = Sentences.verbs(outcome.refreshes.map(\.method))
        if case .missingParameter(let needs) = outcome.firstVerdict {
            action += " with \(Sentences.list(needs.map(\.parameter))) added to its command line"
        }
        action +=
            several
            ? " (\(total) unprotected in all, \(duration) at most)" : " (\(duration) unprotected)"
        if let replacement = outcome.replacement { action += " with \(replacement)" }
        if let obstacle = outcome.unpatched, obstacle != .switchedOff {
            action += " because \(obstacle)"
        }
        switch outcome.end {
        case .settled: return action
        case .resting: return action + ", and another load is needed in some seconds"
        default: return action + ", but the machine has changed again"
        }
    }

    /// One word for a verdict, for the field KDUMP_STATE.
    static func word(for verdict: Verdict) -> String {
        switch verdict {
        case .unsupported: "unsupported"
        case .nothingReserved: "nothing-reserved"
        case .nothingLoaded: "nothing-loaded"
        case .lost: "lost"
        case .neverStale: "never-stale"
        case .leftToFirmware: "left-to-firmware"
        case .current: "current"
        case .waiting: "waiting"
        case .broken: "broken"
        case .missingParameter: "missing-parameter"
        case .trusted: "trusted"
        case .stale: "stale"
        case .unverified: "unverified"
        }
    }
}

extension Engine.Reconciliation {
    /// The longest time without protection, in microseconds.
    fileprivate var window: UInt64 { refreshes.map(\.window).max() ?? 0 }
}
