// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The life of the daemon: listen, fold events into bursts, let the engine act, announce the result.
///
/// Everything happens on one loop, and only a load blocks it. Nothing is judged here: `Burst` and
/// `FollowUp` decide when to act, the engine what to do, `Assessment` and `Announcement` what to say.
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
    /// What the next look that needs no event is for.
    private var nextTrigger: Trigger = .routine
    private var lastRefresh: Report.LastRefresh?
    private var last: Announcement?
    private var alarms: (burst: Alarm, again: Alarm, scrub: Alarm)?
    private var kernelLog: KernelLog?
    private var scrubs = 0

    /// One scrub in how many makes the digest anew.
    ///
    /// It reads the whole image, a tenth of a second on real hardware; damage to memory is rare
    /// enough to be found within an hour.
    private static let thoroughScrub = 12

    /// Makes the daemon and starts to listen, so that no event after this is missed.
    ///
    /// - Throws: A `SystemError` where the loop or the monitor cannot be made.
    init(_ settings: Settings) throws(SystemError) {
        let root = SystemRoot()
        self.settings = settings
        state = StateDirectory(below: root)
        loop = try EventLoop()
        uevents = try Uevents()
        let remembered = state.read("saved-state.json")
            .flatMap { ReportJSON.value(Remembered.self, from: $0) }
        lastRefresh = remembered?.lastRefresh
        engine = Engine(
            root: root, source: settings.source, patches: settings.patches,
            savedState: remembered?.engine ?? Engine.SavedState())
        burst = Burst(quiet: settings.settle)
        // That it cannot be written is said when the load is recorded.
        engine.beforeLoad = { [unowned self] saved in try? remember(saved) }
    }

    /// Lives until SIGTERM or SIGINT, and returns the exit code.
    ///
    /// - Throws: A `SystemError` where another daemon runs or the loop fails.
    func run() throws(SystemError) -> CInt {
        guard try state.lock() else {
            throw SystemError("lock /run/kdump-hotplugd: another daemon runs", errno: EAGAIN)
        }
        alarms = (
            burst: try loop.makeAlarm { [unowned self] in burstAlarm() },
            again: try loop.makeAlarm { [unowned self] in reconcile(nextTrigger, again: true) },
            scrub: try loop.makeAlarm { [unowned self] in scrub() }
        )
        try loop.whenReadable(uevents.fd) { [unowned self] in listen() }
        try loop.whenSignalled(SIGHUP) { [unowned self] in reread() }
        for signal in [SIGTERM, SIGINT] {
            try loop.whenSignalled(signal) { [unowned self] in stop() }
        }
        try watchKernelLog()
        _ = try loop.keepWatchdogFed()
        // What happened before we listened is unknown, and that is a trigger like any event.
        let status = reconcile(.hotplug, .thorough)
        journal.send(.init(.started, "Watching for CPUs and memory that come or go"))
        services.ready(status: status)
        return try loop.run()
    }

    /// Takes in what the kernel says, and sees to it that it is acted on in time.
    private func listen() {
        var anything = false
        uevents.drain { notice in
            anything = true
            guard notice == .lost else { return }
            journal.send(
                .init(
                    .eventsLost,
                    "Hotplug events were lost; looking at the machine itself instead"))
        }
        if anything { follow() }
    }

    /// Takes note that something may have changed now.
    private func follow() {
        set(alarms?.burst, at: burst.event(at: loop.now))
    }

    /// Whether events have come meanwhile, so that what takes long is better done after them: begun
    /// anew after each act of a storm, it would take all of a CPU.
    private func isOvertaken() -> Bool {
        listen()
        return burst.due != nil
    }

    /// Listens to the kernel's own admissions, where it lets us.
    private func watchKernelLog() throws(SystemError) {
        // Without it only a hint is lost: events and scrubs lead to the same look.
        guard let log = try? KernelLog() else { return }
        kernelLog = log
        try loop.whenReadable(log.fd) { [unowned self, log] in
            if log.drain() { follow() }
        }
    }

    /// Looks although nothing has happened.
    private func scrub() {
        scrubs += 1
        reconcile(.routine, scrubs % Daemon.thoroughScrub == 0 ? .thorough : .cheap)
    }

    private func burstAlarm() {
        guard burst.act(at: loop.now) else {
            if let due = burst.due { set(alarms?.burst, at: due) }
            return
        }
        reconcile(.hotplug)
    }

    /// Looks again at everything, the configured files included.
    private func reread() {
        services.reloading(now: loop.now)
        backoff = nil
        services.ready(status: reconcile(.routine, .thorough))
    }

    private func stop() {
        let status = "Stopping; the crash kernel stays as it is"
        journal.send(.init(.stopping, status))
        services.stopping(status: status)
        loop.exit(0)
    }

    /// Lets the engine act, announces the result and schedules the next look; returns the status.
    ///
    /// A further attempt (`again`) with the same result is not announced again.
    @discardableResult
    private func reconcile(
        _ trigger: Trigger, _ depth: Audit.Depth = .cheap, again: Bool = false
    ) -> String {
        let (announcement, followUp) = act(on: trigger, depth)
        if (trigger == .hotplug && !again) || announcement.isNews(after: last) {
            journal.send(announcement.message)
        }
        last = announcement
        services.status(announcement.status)
        schedule(followUp, on: trigger)
        if settings.scrub > 0 { set(alarms?.scrub, at: loop.now + settings.scrub * 1_000_000) }
        return announcement.status
    }

    /// Lets the engine act, and records what it found.
    private func act(on trigger: Trigger, _ depth: Audit.Depth) -> (Announcement, FollowUp) {
        do throws(SystemError) {
            let outcome = try engine.reconcile(
                on: trigger, depth, givingWay: isOvertaken, now: { loop.now })
            if let refresh = outcome.refreshes.last {
                lastRefresh = Report.LastRefresh(
                    method: Report.Method(refresh.method), time: Int(time(nil)),
                    window: refresh.window)
            }
            let ways = engine.ways(given: outcome.look)
            // Where nothing is loaded there is nothing to lose.
            let isAtRisk = outcome.look.observation.support.isLoaded == true
            burst.cost = isAtRisk && ways.patch != nil ? .reload : .patch
            let assessment = Assessment(of: outcome.look, ways: ways, daemonRuns: true)
            record(outcome.look, assessment, ways)
            return (Announcement(of: outcome, assessment), FollowUp(after: outcome, on: trigger))
        } catch {
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
            // What triggered the failed attempt still needs one.
            lookAgain(for: trigger, at: kind, startsOver: false)
        case .poll(let kind):
            lookAgain(for: .routine, at: kind, startsOver: trigger == .hotplug)
        }
    }

    /// Sets the alarm for the next look at intervals of a back-off, which goes on unless it
    /// `startsOver` or is of another kind.
    private func lookAgain(for trigger: Trigger, at kind: Backoff, startsOver: Bool) {
        if startsOver || backoff?.kind != kind { backoff = (kind, kind) }
        nextTrigger = trigger
        set(alarms?.again, at: loop.now + (backoff?.current.wait() ?? kind.longest))
    }

    /// Leaves the report for unprivileged readers and the memory for the next daemon.
    private func record(_ look: Engine.Look, _ assessment: Assessment, _ ways: Engine.Ways) {
        let daemon = Report.Daemon(running: true, pid: getpid(), lastRefresh: lastRefresh)
        let report = Report(of: look, assessment, ways: ways, daemon: daemon)
        let told = State(time: Int(time(nil)), report: report.withoutAddresses)
        do throws(SystemError) {
            try state.write(ReportJSON.bytes(of: told), as: "state.json", mode: 0o644)
            try remember(engine.savedState)
        } catch {
            journal.send(
                .init(.unrecorded, "What was found cannot be recorded: \(error)"))
        }
    }

    /// Leaves what the engine remembers for the next daemon.
    private func remember(_ saved: Engine.SavedState) throws(SystemError) {
        let remembered = Remembered(
            engine: saved, source: settings.source, patches: settings.patches,
            lastRefresh: lastRefresh)
        try state.write(ReportJSON.bytes(of: remembered), as: "saved-state.json", mode: 0o600)
    }

    /// Sets an alarm; where even that fails, the daemon is of no use and systemd makes a new one.
    private func set(_ alarm: Alarm?, at time: UInt64) {
        do throws(SystemError) {
            try alarm?.set(at: time)
        } catch {
            journal.send(.init(.refreshFailed, "Stopping to be restarted: \(error)"))
            loop.exit(1)
        }
    }
}
