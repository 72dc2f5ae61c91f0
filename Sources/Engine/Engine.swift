// SPDX-License-Identifier: Apache-2.0

/// Observes, judges, refreshes and observes again, until the loaded image is right or something
/// prevents that.
///
/// The only type that knows all the rooms. It is level-triggered: it is told that something may
/// have happened, never what, and reads the facts from the machine and from reserved memory. It
/// does not log and does not schedule the next attempt: its caller gets every outcome as a value
/// and does both. ``Observer`` looks. What a look calls for is in
/// `Engine+Needs.swift`, what an attempt does in `Engine+Refreshing.swift`.
package struct Engine {
    /// The most rounds of one reconciliation.
    ///
    /// Four: a patch, the check of its digest, a reload if that did not help, and one spare. A
    /// reconciliation does not chase a machine that keeps changing.
    private static let mostRounds = 4

    /// How long a kernel that updates the image itself may leave something out, in microseconds.
    ///
    /// It updates the image before memory counts as online and before it sends the event
    /// (mm/memory_hotplug.c, `online_pages`; drivers/base/core.c, `device_online`), so there is hardly
    /// anything to wait for: a tenth of a second is plenty.
    package static let grace: UInt64 = 100_000

    /// How long another program may hold the lock of the kdump tool before the engine refreshes
    /// without it, in microseconds.
    ///
    /// A load takes seconds, so half a minute is ample. A tool that builds an initrd takes longer,
    /// but keeps the old image in place meanwhile. A tool that hangs must not leave the machine
    /// unprotected, and without this lock the kernel still admits only one load at a time.
    static let longestHold: UInt64 = 30_000_000

    let root: SystemRoot
    let source: ImageSource?
    let patches: Bool
    let architecture: Architecture
    /// What looks.
    var observer: Observer
    /// When a load is worth its price.
    var loads: Loads
    /// The file that the distribution's kdump tool locks; `nil` if it has none.
    var lock: String?
    /// Since when somebody else has held that lock, in microseconds of the caller's clock.
    var heldSince: UInt64?
    /// Since when no patch has been able to describe the machine, in microseconds of that clock.
    var undescribedSince: UInt64?
    /// When the event came that made us look, in microseconds of that clock; `nil` if none did.
    private var eventTime: UInt64?

    /// The state that the caller saves after each reconciliation.
    package internal(set) var savedState: SavedState
    /// Called just before every load, with what the next daemon must know if this one dies during
    /// it.
    ///
    /// All that a patch changes in it is ``SavedState/expectsImage``.
    package var beforeLoad: (Loads.Kind, SavedState) -> Void = { _, _ in }
    /// Asked just before every load whether the kernel may be crashing; see ``Deferral``.
    package var mayBeCrashing: () -> Bool = { false }
    /// Loads files as the distribution's own tool does, where the kernel cannot.
    package var loadByProgram: ProgramLoad.Runner?
    /// Called when that load, or the trial of one, has ended.
    package var afterLoad: () -> Void = {}
    /// Called after each MiB of a digest that cannot wait, or of a file, so that the caller can show
    /// that it is alive.
    package var beat: () -> Void = {}

    /// Creates an engine for the machine below `root`.
    ///
    /// A reload loads `source`, or if there is none, what the distribution has configured. If
    /// `patches`, the engine patches instead whenever it can.
    package init(
        root: SystemRoot, source: ImageSource?, patches: Bool = true,
        savedState: SavedState = SavedState(), architecture: Architecture = .current,
        grace: UInt64 = Engine.grace
    ) {
        self.root = root
        self.source = source
        self.patches = patches
        self.savedState = savedState
        self.architecture = architecture
        observer = Observer(root: root, architecture: architecture, grace: grace)
        loads = Loads(windows: savedState.windows)
    }
}

// MARK: - Looking

extension Engine {
    /// Looks at the machine and at reserved memory and judges what it sees; changes nothing there.
    ///
    /// `now` returns the time in microseconds of a monotonic clock.
    /// - Throws: A `SystemError` if the kernel's own files cannot be read.
    package mutating func look(_ depth: Depth, now: () -> UInt64) throws(SystemError) -> Look {
        observer.forgetAnswer()
        return try see(depth, now: now)
    }

    /// Looks as part of a reconciliation, in which the kernel is asked only once.
    mutating func see(_ depth: Depth, now: () -> UInt64) throws(SystemError) -> Look {
        let (look, begun) = try observer.look(depth, &savedState, beat: beat, now: now)
        loads.note(losing: look.observation.loss, since: eventTime ?? begun, at: begun)
        return look
    }

    /// Whether nothing has changed since a look found nothing to do.
    ///
    /// It is asked at each event of a burst. What shows neither in the memory map nor in the list of CPUs,
    /// such as an image that another program has loaded, is found by the look at the end of the burst.
    package mutating func seesNothingNew() -> Bool { observer.seesNothingNew() }

    /// Whether there is a digest for ``computeOwedDigest()`` to compute.
    package var hasWork: Bool { observer.digests.hasWork }

    /// Does the next step of the digest that is owed; after the last one the caller must look
    /// again.
    package mutating func computeOwedDigest() -> OwedDigest.Progress { observer.digests.step() }
}

// MARK: - Reconciling

extension Engine {
    /// Brings the loaded image up to date if necessary.
    ///
    /// If it `verifies`, the digest of the image is owed from now on. `since` is when the event came, in
    /// microseconds of the clock of `now`, if one did.
    /// - Throws: A `SystemError` if the kernel's own files cannot be read.
    package mutating func reconcile(
        on trigger: Trigger, since: UInt64? = nil, verifies: Bool = false, now: () -> UInt64
    ) throws(SystemError) -> Reconciliation {
        eventTime = since
        defer { eventTime = nil }
        observer.forgetAnswer()
        // Its place is in a configuration file, whose reading takes longer than a look at an event may.
        if trigger != .event { lock = Configuration.family(below: root, on: architecture)?.lock }
        if verifies { savedState.owesDigest = true }
        var all = Step(look: try see(.cheap, now: now))
        let first = all.look.verdict
        var anticipated: Coverage?
        var trigger = trigger
        func ended(_ end: End) -> Reconciliation {
            Reconciliation(
                look: all.look, firstVerdict: first, anticipated: anticipated,
                refreshes: all.refreshes, unpatched: all.unpatched,
                replacement: all.replacement, rival: all.rival, end: end)
        }
        if trigger != .routine || first != savedState.uncured { savedState.uncured = nil }
        for _ in 0..<Engine.mostRounds {
            let look = all.look
            let isNeeded = look.verdict.needsRefresh(on: trigger)
            note(look.observation.support.isLoaded, isRefreshNeeded: isNeeded)
            let need = need(seenBy: look, on: trigger)
            let change = change(of: need, now())
            guard let need else { return ended(.settled) }
            guard look.verdict != savedState.uncured else { return ended(.uncured) }
            guard !observer.doubtsAnswer(now()) else { return ended(.busy) }
            if let change { return ended(.changing(because: change)) }
            if let time = postponed(need, on: trigger, now()) {
                return ended(
                    trigger == .event ? .postponed(until: time) : .resting(until: time))
            }
            let step = try lockedRefresh(need, now: now)
            if need.look.isAhead, !step.refreshes.isEmpty {
                anticipated = need.look.observation.coverage.value
            }
            all.append(step)
            if let end = step.end { return ended(end) }
            // The trigger has had its refresh. From here on the verdict alone decides.
            trigger = .routine
            guard all.look.verdict.needsRefresh(on: .routine) else { continue }
            // When to follow a machine that keeps changing is the caller's decision.
            guard need.look.observation.live == all.look.observation.live else {
                return ended(.stillMoving)
            }
            savedState.uncured = isUncured(by: step, of: all) ? all.look.verdict : nil
        }
        return ended(all.look.verdict.needsRefresh(on: .routine) ? .stillMoving : .settled)
    }

    /// Whether nothing is left to try against what is wrong after `step`, the last of `all`.
    ///
    /// A patch that does not help is followed by a reload. What a reload has left out, a patch may add,
    /// unless one has already failed to.
    private func isUncured(by step: Step, of all: Step) -> Bool {
        guard step.refreshes.last?.method == .reload else { return false }
        return all.refreshes.contains { $0.method != .reload } || !isPatchable(all.look)
    }

    /// Forgets an image that is gone, and no longer expects one that is there.
    private mutating func note(_ isLoaded: Bool?, isRefreshNeeded: Bool) {
        switch isLoaded {
        case false:
            savedState.forgetImage()
            // An image that our own load lost must come back with the same command line.
            if !savedState.expectsImage { (savedState.commandLine, savedState.books) = (nil, nil) }
        case true where !isRefreshNeeded:
            (savedState.expectsImage, savedState.books) = (false, nil)
        default: break
        }
    }
}
