// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// What the daemon leaves for others: messages in the journal, the status line, and the files in `/run`.
///
/// It keeps what the next message, report or entry depends on. It does not decide when to look or what
/// to do, and `Assessment` and `Announcement` make the sentences.
struct Reporter {
    private let settings: Settings
    private let state: StateDirectory
    private let journal = Journal()
    private let services: ServiceManager
    private var lastRefresh: Report.LastRefresh?
    private var tally: Tally
    private var last: Announcement?
    /// The verdict of the last entry in the history; `nil` if this daemon has made none.
    private var lastNoted: Severity?
    /// The look that was told last; `nil` where something else has been told since.
    private(set) var told: Engine.Look?

    /// Goes on from what the last daemon has left in `state`.
    init(_ settings: Settings, in state: StateDirectory, services: ServiceManager) {
        (self.settings, self.state, self.services) = (settings, state, services)
        let remembered = state.remembered()
        lastRefresh = remembered?.lastRefresh
        tally = remembered?.tally ?? Tally()
    }

    /// Whether anything has been told of the machine.
    var hasTold: Bool { last != nil }

    /// The status line.
    var status: String { last?.status ?? "" }

    /// Writes one message to the journal.
    func say(_ entry: JournalEntry, _ text: String) { journal.send(.init(entry, text)) }

    /// Saves something; if that fails, says so.
    func save(_ write: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try write()
        } catch {
            say(.unrecorded, "The last result cannot be saved: \(error)")
        }
    }
}

// MARK: - Counting

extension Reporter {
    /// Counts a hotplug event.
    mutating func count(_ notice: Uevents.Notice) { tally.count(notice) }

    /// Counts what a reconciliation did that ended at the time `now`, in microseconds.
    mutating func count(_ outcome: Engine.Reconciliation, at now: UInt64) {
        tally.count(outcome, at: now)
        guard let refresh = outcome.refreshes.last else { return }
        lastRefresh = Report.LastRefresh(
            method: Report.Method(refresh.method), time: Int(time(nil)), window: refresh.window)
    }

    /// Notes, for the next daemon, that a load begins at the time `now`, in microseconds.
    ///
    /// A write error is announced when the result of the load is recorded.
    mutating func beginLoad(_ kind: Loads.Kind, _ saved: Engine.SavedState, at now: UInt64) {
        tally.beginLoad(at: now)
        // All that a patch changes in the saved state is that an image is expected.
        if kind == .reload || last == nil || (try? state.make(StateDirectory.mark)) == nil {
            try? remember(saved)
        }
        if kind == .reload { try? state.make(StateDirectory.reload) }
    }

    /// Notes that the load has ended.
    func endLoad() { state.remove(StateDirectory.reload) }
}

// MARK: - Telling

extension Reporter {
    /// Tells what the engine found and did; `now` is the time in microseconds.
    ///
    /// A further attempt (`again`) with the same result is not announced again.
    mutating func tell(
        _ outcome: Engine.Reconciliation, _ ways: Engine.Ways, saving saved: Engine.SavedState,
        on trigger: Trigger, again: Bool, at now: UInt64
    ) {
        told = outcome.look
        let assessment = Assessment(of: outcome.look, ways: ways, daemonRuns: true)
        let announcement = Announcement(of: outcome, assessment)
        save { () throws(SystemError) in try remember(saved) }
        note(.init(of: outcome, announcement, on: trigger, after: lastNoted, at: Int(time(nil))))
        announce(announcement, isDue: trigger == .hotplug && !again)
        // Last: whoever finds it there finds the rest as well.
        write(Report(of: outcome.look, assessment, ways: ways, daemon: me), at: now)
    }

    /// Tells that the machine could not be looked at.
    mutating func tell(
        unreadable error: SystemError, on trigger: Trigger, again: Bool, at now: UInt64
    ) {
        told = nil
        let announcement = Announcement(unreadable: error)
        note(.init(unreadable: announcement.assessment, after: lastNoted, at: Int(time(nil))))
        announce(announcement, isDue: trigger == .hotplug && !again)
        write(Report(announcement.assessment, daemon: me), at: now)
    }

    /// Tells that the machine is not looked at now.
    mutating func tell(unknownBecause reason: String, at now: UInt64) {
        told = nil
        let announcement = Announcement(unknownBecause: reason)
        announce(announcement, isDue: true)
        write(Report(announcement.assessment, daemon: me), at: now)
    }

    /// Tells that the daemon stops because it was told to.
    mutating func stop(_ status: String) {
        state.remove(ReportMetrics.file)
        note(.stop(at: Int(time(nil))))
        say(.stopping, status)
        services.stopping(status: status)
    }

    /// Sends a message if it is due or news, and sets the status line.
    private mutating func announce(_ announcement: Announcement, isDue: Bool) {
        if isDue || announcement.isNews(after: last) { journal.send(announcement.message) }
        last = announcement
        services.status(announcement.status)
    }

    /// What a report says of this daemon.
    private var me: Report.Daemon {
        Report.Daemon(running: true, pid: getpid(), lastRefresh: lastRefresh)
    }
}

// MARK: - Writing

extension Reporter {
    /// Writes a report for unprivileged readers, and as numbers for monitoring systems.
    ///
    /// Each is tried, whatever becomes of the other.
    private func write(_ report: Report, at now: UInt64) {
        let last = State(
            time: Int(time(nil)), lifetime: LastReport.lifetime(scrub: settings.scrub),
            report: report.withoutAddresses, tally: tally.settled(at: now))
        let numbers = Array(ReportMetrics.text(of: last).utf8)
        save { () throws(SystemError) in
            let told = Result { () throws(SystemError) in
                try state.write(numbers, as: ReportMetrics.file, mode: 0o644)
            }
            try state.write(ReportJSON.bytes(of: last), as: "state.json", mode: 0o644)
            try told.get()
        }
    }

    /// Adds an entry to the history, if there is one.
    private mutating func note(_ entry: History.Entry?) {
        guard let entry else { return }
        lastNoted = entry.verdict
        let old = state.read(History.file).flatMap { ReportJSON.value(History.self, from: $0) }
        let history = (old ?? History()).adding(entry)
        save { () throws(SystemError) in
            try state.write(
                ReportJSON.bytes(of: history), as: History.file, mode: 0o644, stayTrue: true)
        }
    }

    /// Saves the state for the next daemon.
    private func remember(_ saved: Engine.SavedState) throws(SystemError) {
        let remembered = Remembered(
            engine: saved, source: settings.source, patches: settings.patches,
            lastRefresh: lastRefresh, tally: tally)
        try state.write(
            ReportJSON.bytes(of: remembered), as: StateDirectory.savedState, mode: 0o600)
        state.remove(StateDirectory.mark)
    }
}
