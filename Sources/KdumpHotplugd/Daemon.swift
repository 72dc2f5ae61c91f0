// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The life of the daemon: listen, fold events into bursts, let the engine act, tell what it did.
///
/// Everything happens on the one loop; the only thing that blocks it is a load. Nothing is judged
/// here: when to act is `Burst`'s and `Backoff`'s business, what to do the engine's, and how it is
/// said `Account`'s.
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
    /// What the next look is for, when one is due without a burst.
    private var owed: Trigger = .routine
    private var lastRefresh: Report.LastRefresh?
    private var lastEntry: JournalEntry?
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
        engine.isOvertaken = { [unowned self] in
            services.alive()
            return isOvertaken()
        }
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
            again: try loop.makeAlarm { [unowned self] in attend(owed, again: true) },
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
        let status = attend(.hotplug, .thorough)
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
        attend(.routine, scrubs % Daemon.thoroughScrub == 0 ? .thorough : .cheap)
    }

    private func burstAlarm() {
        guard burst.act(at: loop.now) else {
            if let due = burst.due { set(alarms?.burst, at: due) }
            return
        }
        attend(.hotplug)
    }

    /// Looks again at everything, the configured files included.
    private func reread() {
        services.reloading(now: loop.now)
        backoff = nil
        services.ready(status: attend(.routine, .thorough))
    }

    private func stop() {
        let status = "Stopping; the crash kernel stays as it is"
        journal.send(.init(.stopping, status))
        services.stopping(status: status)
        loop.exit(0)
    }

    /// Lets the engine act, tells what it did, and sees to what is still owed; returns the status.
    ///
    /// What is tried `again` and comes to the same is not told twice.
    @discardableResult
    private func attend(
        _ trigger: Trigger, _ depth: Engine.Depth = .cheap, again: Bool = false
    ) -> String {
        let account = act(on: trigger, depth)
        if (trigger == .hotplug && !again) || account.isNews(after: lastEntry) {
            journal.send(account.message)
        }
        lastEntry = account.entry
        services.status(account.status)
        owe(account.next, on: trigger)
        if settings.scrub > 0 { set(alarms?.scrub, at: loop.now + settings.scrub * 1_000_000) }
        return account.status
    }

    /// Lets the engine act, and records what it found.
    private func act(on trigger: Trigger, _ depth: Engine.Depth) -> Account {
        do throws(SystemError) {
            let outcome = try engine.reconcile(
                on: trigger, depth, now: { loop.now })
            if let refresh = outcome.refreshes.last {
                lastRefresh = Report.LastRefresh(
                    method: Report.Method(refresh.method), time: Int(time(nil)),
                    window: refresh.window)
            }
            let ways = engine.ways(given: outcome.look)
            // Where nothing is loaded there is nothing to lose.
            let isAtRisk = outcome.look.observation.support.isLoaded == true
            burst.cost = isAtRisk && ways.patch != nil ? .reload : .patch
            record(outcome.look, ways)
            let obstacle = outcome.look.verdict.obstacle(ways)
            return Account(of: outcome, on: trigger, obstacle: obstacle)
        } catch {
            return Account(failure: error)
        }
    }

    /// Sets the alarm for the next look that no event will bring about.
    private func owe(_ next: Account.Next, on trigger: Trigger) {
        switch next {
        case .rest:
            backoff = nil
        case .follow:
            backoff = nil
            follow()
        case .look(let delay):
            backoff = nil
            owed = .routine
            set(alarms?.again, at: loop.now + delay)
        case .retry(let kind):
            // What triggered the failed attempt is still unattended.
            lookAgain(for: trigger, at: kind, anew: false)
        case .watch(let kind):
            lookAgain(for: .routine, at: kind, anew: trigger == .hotplug)
        }
    }

    /// Sets the alarm for the next look at intervals of a back-off: the one that is under way, if it is
    /// of that kind and not to begin `anew`.
    private func lookAgain(for trigger: Trigger, at kind: Backoff, anew: Bool) {
        if anew || backoff?.kind != kind { backoff = (kind, kind) }
        owed = trigger
        set(alarms?.again, at: loop.now + (backoff?.current.wait() ?? kind.longest))
    }

    /// Leaves the report for unprivileged readers and the memory for the next daemon.
    private func record(_ look: Engine.Look, _ ways: Engine.Ways) {
        let daemon = Report.Daemon(running: true, pid: getpid(), lastRefresh: lastRefresh)
        let report = Report(of: look, ways: ways, daemon: daemon)
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
