// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What the daemon says about one reconciliation in the journal and in its status line; pure.
///
/// It says what was done, and then the assessment, word for word. It decides nothing.
struct Announcement: Equatable {
    /// Which message it is.
    let entry: JournalEntry
    /// How bad the state is now, and why.
    let assessment: Assessment
    /// What was done, in lower case; `nil` where nothing was.
    private let action: String?
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

    /// Whether it deserves a line although no event caused it: a routine look that finds the state
    /// that the last message has told does not.
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
            action = nil
        case .stillMoving where outcome.leavesNoRefresh:
            entry = .retry
            action = "the machine is still changing"
        case .settled, .stillMoving:
            entry = .refreshed
            action = Announcement.refreshed(outcome)
            facts[.window] = "\(outcome.window)"
            facts[.refresh] = outcome.refreshes.last.map { Report.Method($0.method).rawValue }
        case .blocked(let obstacle):
            entry = outcome.look.observation.support.isLoaded == true ? .obstacle : .unprotected
            // An obstacle that came up only during the attempt is not in the assessment.
            action = obstacle == assessment.obstacle ? nil : "no reload: \(obstacle)"
            facts[.obstacle] = "\(obstacle)"
        case .uncured:
            entry = .refreshFailed
            action = "the reload did not help"
        case .busy:
            entry = .retry
            action = "the kernel is busy with another load"
        case .held(let holder):
            entry = .retry
            action = "waiting for \(Sentences.name(of: holder)), which holds \(holder.path)"
        case .refused(let error):
            entry = .refreshFailed
            action = "the reload failed (\(error)) and the old image is still loaded"
            facts[.errno] = "\(error.errno)"
        case .unprotected(let error):
            entry = .unprotected
            action = "NOT PROTECTED (\(error))"
            facts[.errno] = "\(error.errno)"
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

    private static func facts(_ assessment: Assessment) -> [Journal.Field: String] {
        [.verdict: assessment.severity.rawValue, .summary: assessment.sentence]
    }

    /// The message for a look after which nothing was loaded.
    private static func entry(for verdict: Verdict, _ severity: Severity) -> JournalEntry {
        switch verdict {
        case .unsupported, .nothingReserved, .nothingLoaded, .lost, .leftToFirmware: .idle
        case .waiting: .waiting
        case .current, .neverStale, .trusted: severity == .ok ? .current : .atRisk
        case .unverified: .unverified
        // These need a refresh, so a reconciliation that leaves them ends otherwise.
        case .stale, .broken, .missingParameter: .refreshFailed
        }
    }

    /// Says what was loaded, how, at what price, and why not by a patch.
    private static func refreshed(_ outcome: Engine.Reconciliation) -> String {
        let duration = Sentences.duration(microseconds: outcome.window)
        let most = outcome.refreshes.count > 1 ? "at most " : ""
        var action = Sentences.verbs(outcome.refreshes.map(\.method))
        if case .missingParameter(let needs) = outcome.firstVerdict {
            action += " with \(Sentences.list(needs.map(\.parameter))) added to its command line"
        }
        action += " (\(most)\(duration) unprotected)"
        if let obstacle = outcome.unpatched, obstacle != .switchedOff {
            action += " because \(obstacle)"
        }
        return action + (outcome.end == .stillMoving ? ", but the machine has changed again" : "")
    }

    /// One word for a verdict, for the field KDUMP_STATE.
    private static func word(for verdict: Verdict) -> String {
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
