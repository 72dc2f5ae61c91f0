// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The life of the daemon: listen, fold events into bursts, let the engine act, announce the
/// result.
///
/// Everything happens on one loop. Only a load blocks it, or a digest that a refresh needs at once.
/// Nothing is judged here: `Burst` and `FollowUp` decide when to act, the engine what to do,
/// `Assessment` and `Announcement` what to say.
final class Daemon {
    private let settings: Settings
    private let state: StateDirectory
    private let journal = Journal()
    private let services = ServiceManager()
    private let loop: EventLoop
    private let uevents: Uevents

    private var engine: Engine
    private var burst: Burst
    private var backoff: (kind: Backoff, current: Backoff)?
    /// The trigger of the next look that needs no event.
    private var nextTrigger: Trigger = .routine
    private var lastRefresh: Report.LastRefresh?
    private var tally: Tally
    /// The verdict of the last entry in the history; `nil` if this daemon has made none.
    private var lastNoted: Severity?
    private var last: Announcement?
    private var alarms: (burst: Alarm, again: Alarm, scrub: Alarm, digest: Alarm)?
    private var beginning: Alarm?
    private var kernelLog: KernelLog?
    private var scrubs = 0
    /// Whether systemd still has to be told that everything has been checked.
    private var isReadinessOwed = false
    /// Whether the distribution's own tool has been asked since an image was last seen.
    private var hasCalledForRescue = false
    private var failure: SystemError?

    /// Every how many scrubs the digest is verified.
    ///
    /// That reads the whole image, a tenth of a second on real hardware; damage to memory is so
    /// rare that finding it within an hour is enough.
    private static let thoroughScrub = 12

    /// How long to wait if something moved under a step of the digest, in microseconds.
    private static let digestPause: UInt64 = 10_000

    /// Creates the daemon and starts to listen, so that it misses no later event.
    ///
    /// - Throws: A `SystemError` if the loop or the monitor cannot be created.
    init(_ settings: Settings) throws(SystemError) {
        let root = SystemRoot.ofService
        self.settings = settings
        state = StateDirectory(below: root)
        loop = try EventLoop()
        uevents = try Uevents()
        let remembered = state.remembered()
        lastRefresh = remembered?.lastRefresh
        tally = remembered?.tally ?? Tally()
        engine = Engine(
            root: root, source: settings.source, patches: settings.patches,
            savedState: remembered?.engine ?? Engine.SavedState())
        burst = Burst(quiet: settings.settle)
        engine.beat = { [unowned self] in services.alive() }
        // A write error is announced when the result of the load is recorded.
        engine.beforeLoad = { [unowned self] saved in
            tally.beginLoad(at: loop.now)
            try? remember(saved)
            services.beginLoad()
        }
        engine.afterLoad = { [unowned self] in services.endLoad() }
    }

    /// Runs until SIGTERM or SIGINT, and returns the exit code.
    ///
    /// - Throws: A `SystemError` if another daemon is running or the loop fails.
    func run() throws(SystemError) -> CInt {
        guard try state.lock() else {
            throw SystemError("lock /run/kdump-hotplugd (another daemon is running)", errno: EAGAIN)
        }
        alarms = (
            burst: try loop.makeAlarm { [unowned self] in burstAlarm() },
            again: try loop.makeAlarm { [unowned self] in reconcile(nextTrigger, again: true) },
            scrub: try loop.makeAlarm { [unowned self] in scrub() },
            digest: try loop.makeAlarm { [unowned self] in computeDigest() }
        )
        for signal in [SIGTERM, SIGINT] {
            try loop.whenSignalled(signal) { [unowned self] in stop() }
        }
        _ = try loop.keepWatchdogFed()
        let crashes = noteStart()
        if crashes.wait > 0 { try wait(after: crashes) } else { try begin() }
        let code = try loop.run()
        if let failure { throw failure }
        return code
    }

    /// Begins to listen and to act.
    private func begin() throws(SystemError) {
        try loop.whenReadable(uevents.fd) { [unowned self] in listen() }
        try loop.whenSignalled(SIGHUP) { [unowned self] in reread() }
        try watchKernelLog()
        // Something may have happened before we listened, so this look counts as one after an
        // event.
        isReadinessOwed = true
        reconcile(.hotplug, verifies: true)
        journal.send(.init(.started, "Watching for hotplug of CPUs and memory"))
    }

    /// Notes that this daemon has started and not yet been told to stop.
    private func noteStart() -> CrashLoop {
        let last = state.read(StateDirectory.crashes)
            .flatMap { ReportJSON.value(CrashLoop.self, from: $0) }
        let crashes = CrashLoop(after: last, now: loop.now)
        save { () throws(SystemError) in
            try state.write(
                ReportJSON.bytes(of: crashes), as: StateDirectory.crashes, mode: 0o600)
        }
        return crashes
    }

    /// Says that the daemon looks later, because the ones before it have crashed, and begins then.
    private func wait(after crashes: CrashLoop) throws(SystemError) {
        let announcement = Announcement(unknownBecause: crashes.sentence)
        journal.send(announcement.message)
        save { () throws(SystemError) in
            try tell(Report(announcement.assessment, daemon: me))
        }
        let alarm = try loop.makeAlarm { [unowned self] in
            do throws(SystemError) {
                try begin()
            } catch {
                failure = error
                loop.exit(1)
            }
        }
        try alarm.set(at: loop.now + crashes.wait)
        beginning = alarm
        services.ready(status: announcement.status)
    }

    /// Reads the events and schedules the reaction.
    private func listen() {
        var anything = false
        uevents.drain { notice in
            anything = true
            tally.count(notice)
            guard notice == .lost else { return }
            journal.send(
                .init(
                    .eventsLost,
                    "Hotplug events were lost; checking the machine itself"))
        }
        if anything { follow() }
    }

    /// Notes that something may have changed now.
    private func follow() {
        set(alarms?.burst, at: burst.event(at: loop.now))
    }

    /// Does a step of the digest that is owed, and looks at the image after the last one.
    ///
    /// Hotplug events come first: if every act in a burst started this work anew, it would use up a
    /// CPU.
    private func computeDigest() {
        guard burst.due == nil else { return sayReady() }
        switch engine.computeOwedDigest() {
        case .nothing: sayReady()
        case .more: set(alarms?.digest, at: loop.now)
        case .later: set(alarms?.digest, at: loop.now + Daemon.digestPause)
        case .done: reconcile(.routine)
        }
    }

    /// Tells systemd that the start or the SIGHUP is done: the digest is computed, or has to wait
    /// for hotplug events.
    private func sayReady() {
        guard isReadinessOwed, let last else { return }
        isReadinessOwed = false
        services.ready(status: last.status)
    }

    /// Listens to the kernel's messages about its own updates, if they can be read.
    private func watchKernelLog() throws(SystemError) {
        // They are only a hint: events and scrubs lead to the same look.
        guard let log = try? KernelLog() else { return }
        kernelLog = log
        try loop.whenReadable(log.fd) { [unowned self, log] in
            if log.drain() { follow() }
        }
    }

    /// Looks without an event.
    private func scrub() {
        scrubs += 1
        reconcile(.routine, verifies: scrubs % Daemon.thoroughScrub == 0)
    }

    private func burstAlarm() {
        guard burst.act(at: loop.now) else {
            if let due = burst.due { set(alarms?.burst, at: due) }
            return
        }
        reconcile(.hotplug)
    }

    /// Looks again at everything, the configured files included, and tries again what did not help.
    private func reread() {
        services.reloading(now: loop.now)
        backoff = nil
        engine.forgetRefusals()
        isReadinessOwed = true
        reconcile(.request, verifies: true)
    }

    private func stop() {
        state.remove(StateDirectory.crashes)
        state.remove(ReportMetrics.file)
        note(.stop(at: Int(time(nil))))
        let status = "Stopping; the crash kernel stays as it is"
        journal.send(.init(.stopping, status))
        services.stopping(status: status)
        loop.exit(0)
    }

    /// Lets the engine act, announces the result and schedules what follows.
    ///
    /// A further attempt (`again`) with the same result is not announced again. If it `verifies`,
    /// the digest is computed afterwards.
    private func reconcile(_ trigger: Trigger, verifies: Bool = false, again: Bool = false) {
        let (announcement, followUp) = act(on: trigger, verifies)
        if (trigger == .hotplug && !again) || announcement.isNews(after: last) {
            journal.send(announcement.message)
        }
        last = announcement
        services.status(announcement.status)
        schedule(followUp, on: trigger)
        if settings.scrub > 0 { set(alarms?.scrub, at: loop.now + settings.scrub * 1_000_000) }
        if engine.hasWork && burst.due == nil {
            set(alarms?.digest, at: loop.now)
        } else {
            sayReady()
        }
    }

    /// Lets the engine act, and records what it found.
    private func act(on trigger: Trigger, _ verifies: Bool) -> (Announcement, FollowUp) {
        do throws(SystemError) {
            let outcome = try engine.reconcile(
                on: trigger, verifies: verifies, now: { loop.now })
            tally.count(outcome, at: loop.now)
            if let refresh = outcome.refreshes.last {
                lastRefresh = Report.LastRefresh(
                    method: Report.Method(refresh.method), time: Int(time(nil)),
                    window: refresh.window)
            }
            if outcome.look.observation.support.isLoaded == true { hasCalledForRescue = false }
            if trigger == .routine && outcome.end == .settled && burst.due == nil {
                engine.tryAhead(given: outcome.look)
            }
            let ways = engine.ways(given: outcome.look)
            burst.cost = Burst.Cost(of: ways, given: outcome.look.observation.support)
            let assessment = Assessment(of: outcome.look, ways: ways, daemonRuns: true)
            record(outcome.look, assessment, ways)
            let announcement = Announcement(of: outcome, assessment)
            note(
                .init(of: outcome, announcement, on: trigger, after: lastNoted, at: Int(time(nil))))
            return (announcement, FollowUp(after: outcome, on: trigger))
        } catch {
            let report = Report(Assessment(unreadable: error), daemon: me)
            save { () throws(SystemError) in try tell(report) }
            note(.init(unreadable: .init(unreadable: error), after: lastNoted, at: Int(time(nil))))
            return (Announcement(unreadable: error), .retry(.stale))
        }
    }

    /// Sets the alarm for the next look that needs no event.
    private func schedule(_ followUp: FollowUp, on trigger: Trigger) {
        switch followUp {
        case .none:
            backoff = nil
        case .burst:
            backoff = nil
            follow()
        case .look(let delay):
            backoff = nil
            nextTrigger = .routine
            set(alarms?.again, at: loop.now + delay)
        case .retry(let kind):
            // The trigger of the failed attempt still needs a refresh.
            lookAgain(for: trigger, at: kind, startsOver: false)
        case .rescue:
            lookAgain(for: trigger, at: .unprotected, startsOver: false)
            callForRescue()
        case .poll(let kind):
            lookAgain(for: .routine, at: kind, startsOver: trigger == .hotplug)
        }
    }

    /// Has the distribution's own kdump service load, where nothing else is left: once in each loss.
    private func callForRescue() {
        guard !hasCalledForRescue, let service = engine.kdumpService else { return }
        hasCalledForRescue = true
        let action = "Restarting \(service), the last way to get a crash kernel loaded"
        do throws(SystemError) {
            try services.restart(service)
            journal.send(.init(.rescue, action))
            set(alarms?.again, at: loop.now + FollowUp.rescueTime)
        } catch {
            journal.send(.init(.rescue, "\(action), failed: \(error)"))
        }
    }

    /// Sets the alarm for the next look at intervals of a back-off, which goes on unless it
    /// `startsOver` or is of another kind.
    private func lookAgain(for trigger: Trigger, at kind: Backoff, startsOver: Bool) {
        if startsOver || backoff?.kind != kind { backoff = (kind, kind) }
        nextTrigger = trigger
        set(alarms?.again, at: loop.now + (backoff?.current.wait() ?? kind.longest))
    }

    /// Saves the report for unprivileged readers and the state for the next daemon.
    private func record(_ look: Engine.Look, _ assessment: Assessment, _ ways: Engine.Ways) {
        let report = Report(of: look, assessment, ways: ways, daemon: me)
        save { () throws(SystemError) in try tell(report) }
        save { () throws(SystemError) in try remember(engine.savedState) }
    }

    /// What a report says of this daemon.
    private var me: Report.Daemon {
        Report.Daemon(running: true, pid: getpid(), lastRefresh: lastRefresh)
    }

    /// Saves something; if that fails, says so.
    private func save(_ write: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try write()
        } catch {
            journal.send(
                .init(.unrecorded, "The last result cannot be saved: \(error)"))
        }
    }

    /// Saves a report for unprivileged readers, and as numbers for monitoring systems.
    ///
    /// Each is tried, whatever becomes of the other.
    private func tell(_ report: Report) throws(SystemError) {
        let last = State(
            time: Int(time(nil)), lifetime: LastReport.lifetime(scrub: settings.scrub),
            report: report.withoutAddresses, tally: tally.settled(at: loop.now))
        let numbers = Array(ReportMetrics.text(of: last).utf8)
        let told = Result { () throws(SystemError) in
            try state.write(ReportJSON.bytes(of: last), as: "state.json", mode: 0o644)
        }
        try state.write(numbers, as: ReportMetrics.file, mode: 0o644)
        try told.get()
    }

    /// Adds an entry to the history, if there is one.
    private func note(_ entry: History.Entry?) {
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
    }

    /// Sets an alarm; without alarms the daemon is of no use, so it fails and systemd restarts it.
    private func set(_ alarm: Alarm?, at time: UInt64) {
        do throws(SystemError) {
            try alarm?.set(at: time)
        } catch {
            failure = error
            loop.exit(1)
        }
    }
}
