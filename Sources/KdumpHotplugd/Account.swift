// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What is to be said of one reconciliation, and what is still owed after it; pure.
///
/// One message for each decision: what happened, what it means for a crash now, what comes next.
struct Account: Equatable {
    /// What must follow without any event.
    enum Next: Equatable {
        /// Nothing.
        case rest
        /// Another look after so many microseconds, whatever happens until then.
        case look(after: UInt64)
        /// Whatever must follow a hotplug event.
        case follow
        /// Another attempt, at intervals of this back-off.
        case retry(Backoff)
        /// Another look, at intervals of this back-off, which every hotplug event begins anew.
        case watch(Backoff)
    }

    /// How long after a burst the machine is looked at once more, in microseconds.
    ///
    /// Memory that is removed leaves `/proc/iomem` only after its last event (mm/memory_hotplug.c,
    /// `try_remove_memory`), and nothing announces that moment. Two seconds are long for the kernel
    /// and short for an operator; the look reads a few small files and some hundred KiB.
    private static let secondLook: UInt64 = 2_000_000

    /// Which message.
    let entry: JournalEntry
    /// The status line of the service.
    let status: String
    /// What must follow.
    let next: Next
    private let facts: [Journal.Field: String]

    /// The message for the journal.
    var message: Journal.Message {
        Journal.Message(
            entry, status,
            Journal.Field.allCases.compactMap { field in facts[field].map { (field, $0) } })
    }

    /// Whether it is worth a line although nothing triggered the look: a routine look that finds
    /// what the message before has said, or that all is still well, is not.
    func isNews(after last: JournalEntry?) -> Bool {
        switch (last, entry) {
        case (_, .refreshed): true
        case (.refreshed, .current), (.started, .current): false
        default: last != entry
        }
    }

    /// Gives an account of a reconciliation.
    init(of outcome: Engine.Reconciliation, on trigger: Trigger, obstacle: Obstacle?) {
        let meaning = Sentences.meaning(of: outcome.look)
        var facts: [Journal.Field: String] = [
            .verdict: Account.word(for: outcome.look.verdict)
        ]
        let next: Next
        // What somebody has unloaded after a refresh is of no use to anybody.
        let isIdle = outcome.refreshes.isEmpty || outcome.look.verdict == .nothingLoaded
        switch outcome.end {
        case .settled where isIdle:
            (entry, status) = Account.untouched(outcome.look, obstacle: obstacle)
            next = Account.next(after: outcome.look.verdict, on: trigger)
        case .settled, .stillMoving:
            let window = outcome.refreshes.reduce(0) { max($0, $1.window) }
            entry = .refreshed
            status = Account.refreshed(outcome, window: window)
            facts[.window] = "\(window)"
            facts[.refresh] = outcome.refreshes.last.map { Report.Method($0.method).rawValue }
            next = outcome.end == .settled ? .look(after: Account.secondLook) : .follow
        case .blocked(let obstacle):
            entry = outcome.look.observation.support.isLoaded == true ? .obstacle : .unprotected
            status = Sentences.capitalised(meaning) + "; it cannot be reloaded: \(obstacle)"
            next = .retry(.stale)
        case .uncured:
            entry = .refreshFailed
            status = Sentences.capitalised(meaning) + "; a reload did not change that"
            next = .rest
        case .busy:
            entry = .retry
            status = Sentences.capitalised(meaning) + "; the kernel is busy with another load"
            next = .retry(.busy)
        case .held(let holder):
            entry = .retry
            status = Sentences.capitalised(meaning) + "; \(Sentences.held(by: holder))"
            next = .retry(.busy)
        case .refused(let error):
            entry = .refreshFailed
            status =
                "The crash kernel could not be reloaded (\(error)) and stays as it was; \(meaning)"
            facts[.errno] = "\(error.errno)"
            next = .retry(.stale)
        case .unprotected(let error):
            entry = .unprotected
            status =
                "NOT PROTECTED: a load failed (\(error)) after the kernel had dropped the old"
                + " image; trying again"
            facts[.errno] = "\(error.errno)"
            next = .retry(.unprotected)
        }
        self.next = next
        self.facts = facts
    }

    /// Gives an account of a look that failed.
    init(failure error: SystemError) {
        entry = .refreshFailed
        status = "The machine cannot be looked at (\(error)); the crash kernel stays as it is"
        next = .retry(.stale)
        facts = [.errno: "\(error.errno)"]
    }

    /// What is owed after a look that led to nothing.
    private static func next(after verdict: Verdict, on trigger: Trigger) -> Next {
        switch verdict {
        case .waiting: .look(after: Engine.grace)
        case .nothingLoaded: .watch(.absent)
        default: trigger == .hotplug ? .look(after: secondLook) : .rest
        }
    }

    /// Says why nothing was done.
    private static func untouched(
        _ look: Engine.Look, obstacle: Obstacle?
    ) -> (JournalEntry, String) {
        let meaning = Sentences.capitalised(Sentences.meaning(of: look))
        let isKeptUp = look.observation.keepsUp == true
        switch look.verdict {
        case .unsupported, .nothingReserved, .nothingLoaded, .lost:
            return (.idle, meaning)
        case .waiting:
            return (.waiting, meaning)
        case .current where isKeptUp:
            return (.current, meaning + ", and the kernel itself keeps it current")
        case .current, .unverified, .stale, .broken, .missingParameter:
            guard let obstacle else { return (.current, meaning) }
            return (.obstacle, meaning + ", but cannot follow the next hotplug: \(obstacle)")
        case .neverStale, .trusted:
            return (.current, meaning)
        }
    }

    /// Says what refreshes were for and what they brought.
    private static func refreshed(
        _ outcome: Engine.Reconciliation, window: UInt64
    ) -> String {
        let times = outcome.refreshes.count
        let done = Account.verbs(outcome.refreshes.map(\.method))
        let duration = Sentences.duration(microseconds: window)
        let reason: String
        switch outcome.unpatched {
        case nil, .switchedOff: reason = ""
        case .some(let obstacle): reason = " because \(obstacle)"
        }
        let rest = outcome.end == .stillMoving ? "; the machine still changes" : ""
        let cure: String
        if case .missingParameter(let needs) = outcome.firstVerdict {
            let added = needs.map(\.parameter).joined(separator: " ")
            cure = " with \(added) added to its command line"
        } else {
            cure = ""
        }
        return "\(done)\(cure)\(reason): \(Sentences.meaning(of: outcome.look));"
            + " unprotected for \(duration)" + (times == 1 ? "" : " at most") + rest
    }

    /// Says what was done: `Patched`, `Patched 2 times, then reloaded`.
    private static func verbs(_ methods: [Engine.Refresh.Method]) -> String {
        var runs: [(method: Engine.Refresh.Method, count: Int)] = []
        for method in methods {
            if runs.last?.method == method {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((method, 1))
            }
        }
        let words = runs.map { run in
            let verb =
                switch run.method {
                case .patch: "patched"
                case .replay: "loaded again from reserved memory"
                case .reload: "reloaded"
                }
            return run.count == 1 ? verb : "\(verb) \(run.count) times"
        }
        return Sentences.capitalised(words.joined(separator: ", then "))
    }

    /// One word for a verdict, for the field KDUMP_VERDICT.
    private static func word(for verdict: Verdict) -> String {
        switch verdict {
        case .unsupported: "unsupported"
        case .nothingReserved: "nothing-reserved"
        case .nothingLoaded: "nothing-loaded"
        case .lost: "lost"
        case .neverStale: "never-stale"
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
