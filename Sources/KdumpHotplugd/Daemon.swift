// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The life of the daemon: listen, let the engine look after events, announce what a burst of them has
/// led to.
///
/// Everything happens on one loop. Only a load blocks it, or a digest that a refresh needs at once.
/// Nothing is judged here: `Looks` and `FollowUp` decide when to look, the engine what to do and when
/// it is worth it. `Reporter` says what came of it.
final class Daemon {
    private let settings: Settings
    private let state: StateDirectory
    private var services = ServiceManager()
    private let loop: EventLoop
    private let uevents: Uevents

    private var reporter: Reporter
    private var engine: Engine
    private var looks: Looks
    private var backoff: (kind: Backoff, current: Backoff)?
    /// The trigger of the next look that needs no event.
    private var nextTrigger: Trigger = .routine
    /// What has been done since the last announcement, and since when.
    private var untold: (outcome: Engine.Reconciliation, since: UInt64)?
    /// When the last hotplug event came, in microseconds; `nil` before any.
    private var lastEvent: UInt64?
    private var alarms: (events: Alarm, again: Alarm, scrub: Alarm, digest: Alarm)?
    private var beginning: Alarm?
    private var kernelLog: KernelLog?
    /// Tells whether the kernel may be crashing; `nil` if its log cannot be read.
    private var alarmLog: KernelLog?
    private var deferral = Deferral()
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

    /// How long without an event the digest is not computed, in microseconds.
    ///
    /// One that is begun and not finished before the next change of the machine is computed in vain.
    private static let calm: UInt64 = 1_000_000

    /// How long a burst may go on before it is told what has been done, in microseconds.
    ///
    /// Telling takes longer than looking: two files, a message and a status line, in all 30 ms under
    /// emulation. What is wrong is told at once.
    private static let longestSilence: UInt64 = 5_000_000

    /// Creates the daemon and starts to listen, so that it misses no later event.
    ///
    /// - Throws: A `SystemError` if the loop or the monitor cannot be created.
    init(_ settings: Settings) throws(SystemError) {
        let root = SystemRoot.ofService
        self.settings = settings
        state = StateDirectory(below: root)
        loop = try EventLoop()
        uevents = try Uevents()
        reporter = Reporter(settings, in: state, services: services)
        engine = Engine(
            root: root, source: settings.source, patches: settings.patches,
            savedState: state.engineState())
        looks = Looks(quiet: settings.settle)
        engine.beat = { [unowned self] in services.alive(at: loop.now) }
        engine.beforeLoad = { [unowned self] kind, saved in
            reporter.beginLoad(kind, saved, at: loop.now)
            services.beginLoad()
        }
        engine.mayBeCrashing = { [unowned self] in
            deferral.holds(isAlarmed: alarmLog?.drain() ?? false, at: loop.now)
        }
        engine.loadByProgram = { [unowned self] load in
            LoaderUnit(state: state, services: services).run(load)
        }
        engine.afterLoad = { [unowned self] in
            services.endLoad()
            reporter.endLoad()
        }
    }

    /// Runs until SIGTERM or SIGINT, and returns the exit code.
    ///
    /// - Throws: A `SystemError` if another daemon is running or the loop fails.
    func run() throws(SystemError) -> CInt {
        guard try state.lock() else {
            throw SystemError("lock /run/kdump-hotplugd (another daemon is running)", errno: EAGAIN)
        }
        // One that was killed in a reload has not said that this is over.
        reporter.endLoad()
        alarms = (
            events: try loop.makeAlarm { [unowned self] in lookForEvents() },
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
        reporter.say(.started, "Watching for hotplug of CPUs and memory")
    }

    /// Notes that this daemon has started and not yet been told to stop.
    private func noteStart() -> CrashLoop {
        let last = state.read(StateDirectory.crashes)
            .flatMap { ReportJSON.value(CrashLoop.self, from: $0) }
        let crashes = CrashLoop(after: last, now: loop.now)
        reporter.save { () throws(SystemError) in
            try state.write(
                ReportJSON.bytes(of: crashes), as: StateDirectory.crashes, mode: 0o600)
        }
        return crashes
    }

    /// Says that the daemon looks later, because the ones before it have crashed, and begins then.
    private func wait(after crashes: CrashLoop) throws(SystemError) {
        reporter.tell(unknownBecause: crashes.sentence, at: loop.now)
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
        services.ready(status: reporter.status)
    }

    /// Reads the events and schedules the reaction.
    private func listen() {
        var anything = false
        uevents.drain { notice in
            anything = true
            reporter.count(notice)
            guard notice == .lost else { return }
            reporter.say(
                .eventsLost, "Hotplug events were lost; checking the machine itself")
        }
        if anything { follow() }
    }

    /// Notes that something may have changed now.
    private func follow() {
        lastEvent = loop.now
        set(alarms?.events, at: looks.event(at: loop.now))
    }

    /// Does a step of the digest that is owed, and looks at the image after the last one.
    ///
    /// Hotplug events come first: if every look in a burst started this work anew, it would use up a
    /// CPU.
    private func computeDigest() {
        guard looks.due == nil else { return sayReady() }
        guard loop.now >= calmTime else {
            set(alarms?.digest, at: calmTime)
            return sayReady()
        }
        let begin = loop.now
        let progress = engine.computeOwedDigest()
        // The daemon goes before everybody else, but not for this: half of the time is theirs.
        let rest = isReadinessOwed ? 0 : loop.now - begin
        switch progress {
        case .nothing: sayReady()
        case .more: set(alarms?.digest, at: loop.now + rest)
        case .later: set(alarms?.digest, at: loop.now + Daemon.digestPause)
        case .done: reconcile(.routine)
        }
    }

    /// When the machine has been left alone for long enough to compute its image's digest.
    private var calmTime: UInt64 { lastEvent.map { $0 + Daemon.calm } ?? 0 }

    /// Tells systemd that the start or the SIGHUP is done: the digest is computed, or has to wait
    /// for hotplug events.
    private func sayReady() {
        guard isReadinessOwed, reporter.hasTold else { return }
        isReadinessOwed = false
        services.ready(status: reporter.status)
    }

    /// Listens to the kernel's messages about its own updates, and to its alarms, if they can be read.
    private func watchKernelLog() throws(SystemError) {
        alarmLog = try? KernelLog(of: .alarm)
        // They are only a hint: events and scrubs lead to the same look.
        guard let log = try? KernelLog(of: .image) else { return }
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

    /// Looks because of events, as soon as that is due.
    private func lookForEvents() {
        let used = ProcessorClock.microseconds()
        switch looks.begin(at: loop.now) {
        case nil: break
        case (.silence, _)?: reconcile(.hotplug)
        case (.event, let since)?:
            if !engine.seesNothingNew() { reconcile(.event, since: since) }
            looks.spent(ProcessorClock.microseconds() - used, at: loop.now)
        }
        if let due = looks.due { set(alarms?.events, at: due) }
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
        if let untold { tell(untold.outcome, on: .hotplug) }
        state.remove(StateDirectory.crashes)
        reporter.stop("Stopping; the crash kernel stays as it is")
        loop.exit(0)
    }

    /// Lets the engine act, schedules what follows and announces the result, if it is time for that.
    ///
    /// A further attempt (`again`) with the same result is not announced again. If it `verifies`,
    /// the digest is computed afterwards.
    private func reconcile(
        _ trigger: Trigger, since: UInt64? = nil, verifies: Bool = false, again: Bool = false
    ) {
        do throws(SystemError) {
            let outcome = try engine.reconcile(
                on: trigger, since: since, verifies: verifies, now: { loop.now })
            reporter.count(outcome, at: loop.now)
            note(outcome.look.observation.support)
            schedule(FollowUp(after: outcome, on: trigger), on: trigger)
            // Polls for what is half done come every few milliseconds, and mostly find nothing.
            if again, untold == nil, outcome.isNothing(after: reporter.told) { return }
            let all = untold.map { $0.outcome.followed(by: outcome) } ?? outcome
            let begin = untold?.since ?? loop.now
            untold = (all, begin)
            let isInBurst = trigger == .event || looks.due != nil
            if isInBurst, outcome.isOrdinary, loop.now - begin < Daemon.longestSilence { return }
            if trigger == .routine && outcome.end == .settled && looks.due == nil {
                engine.tryAhead(given: outcome.look)
            }
            tell(all, on: trigger, again: again)
        } catch {
            reporter.tell(unreadable: error, on: trigger, again: again, at: loop.now)
            afterTelling()
            schedule(.retry(.stale), on: trigger)
        }
    }

    /// Notes what the next steps depend on.
    private func note(_ support: KernelSupport) {
        if support.isLoaded == true { hasCalledForRescue = false }
        looks.isLastLoad = support.hasLastLoad
    }

    /// Announces and records what the engine found and did.
    private func tell(
        _ outcome: Engine.Reconciliation, on trigger: Trigger, again: Bool = false
    ) {
        untold = nil
        reporter.tell(
            outcome, engine.ways(given: outcome.look), saving: engine.savedState, on: trigger,
            again: again, at: loop.now)
        afterTelling()
    }

    /// Sets the alarms that count from the last report.
    private func afterTelling() {
        if settings.scrub > 0 { set(alarms?.scrub, at: loop.now + settings.scrub * 1_000_000) }
        if engine.hasWork && looks.due == nil {
            set(alarms?.digest, at: max(loop.now, calmTime))
        } else {
            sayReady()
        }
    }

    /// Sets the alarm for the next look that needs no event.
    private func schedule(_ followUp: FollowUp, on trigger: Trigger) {
        switch followUp {
        case .none:
            backoff = nil
        case .event:
            backoff = nil
            follow()
        case .load(let time):
            backoff = nil
            nextTrigger = trigger
            set(alarms?.again, at: time)
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
            let startsOver = trigger == .hotplug || trigger == .event
            lookAgain(for: .routine, at: kind, startsOver: startsOver)
        }
    }

    /// Has the distribution's own kdump service load, where nothing else is left: once in each loss.
    private func callForRescue() {
        guard !hasCalledForRescue, let service = engine.kdumpService else { return }
        hasCalledForRescue = true
        let action = "Restarting \(service), the last way to get a crash kernel loaded"
        do throws(SystemError) {
            try services.restart(service)
            reporter.say(.rescue, action)
            set(alarms?.again, at: loop.now + FollowUp.rescueTime)
        } catch {
            reporter.say(.rescue, "\(action), failed: \(error)")
        }
    }

    /// Sets the alarm for the next look at intervals of a back-off, which goes on unless it
    /// `startsOver` or is of another kind.
    private func lookAgain(for trigger: Trigger, at kind: Backoff, startsOver: Bool) {
        if startsOver || backoff?.kind != kind { backoff = (kind, kind) }
        nextTrigger = trigger
        set(alarms?.again, at: loop.now + (backoff?.current.wait() ?? kind.longest))
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
