// SPDX-License-Identifier: Apache-2.0

/// Observes, judges, refreshes, and observes again, until the loaded image is right or the way is
/// barred.
///
/// The one file that knows all the rooms. It is level-triggered: it never hears what happened, only
/// that something may have, and reads the truth from the machine and from reserved memory. It neither
/// logs nor waits for another try: both are its caller's, who gets every outcome as a value.
package struct Engine {
    /// How many steps one reconciliation makes at most.
    ///
    /// Four: a patch, the look at its digest, and a reload where either does not bring the cure, and
    /// one for the unforeseen. It does not run after a machine that goes on changing.
    private static let mostRounds = 4

    /// How long a kernel that keeps the image up by itself may leave it stale, in microseconds.
    ///
    /// It updates the image before it sends the event that made us look (drivers/base/core.c,
    /// `device_online`), so there is nothing to wait for but its copying: one second is plenty.
    package static let grace: UInt64 = 1_000_000

    /// How often a look that shows less than there may be is repeated, with 20 ms in between.
    private static let mostGlances = 5

    let root: SystemRoot
    let source: ImageSource?
    let patches: Bool
    let architecture: Architecture
    private let grace: UInt64
    /// Since when the image has been seen to be stale, in microseconds of the caller's clock.
    private var staleSince: UInt64?
    /// Since when somebody else has held the lock of the kdump tool, in microseconds of that clock.
    var heldSince: UInt64?
    /// What the kernel has answered in this reconciliation; `nil` where it was not asked.
    private var answer: Bool??
    private var isReconciling = false
    /// Since when the kernel has said no: the first may only mean that the lock was held.
    private var noSince: UInt64?
    /// Whether the last look saw an image; the first look expects one.
    private var sawImage = true
    /// A verdict that a refresh did not cure: another one for the same would not either.
    private var uncured: Verdict?
    /// What is remembered; to be kept by the caller after each reconciliation.
    package internal(set) var savedState: SavedState
    /// Called just before every load, with what the next daemon must remember should this one die in
    /// it; see ``SavedState/expectsImage``.
    package var beforeLoad: (SavedState) -> Void = { _ in }

    /// Creates an engine for the machine below `root` that reloads from `source`, or without one from
    /// what the distribution has configured, and rather patches where it may.
    package init(
        root: SystemRoot, source: ImageSource?, patches: Bool = true,
        savedState: SavedState = SavedState(),
        architecture: Architecture = .current, grace: UInt64 = Engine.grace
    ) {
        self.root = root
        self.source = source
        self.patches = patches
        self.savedState = savedState
        self.architecture = architecture
        self.grace = grace
    }

    /// Looks at the machine and at reserved memory, and judges what is seen; changes nothing there.
    ///
    /// `now` tells the time in microseconds of a monotonic clock. A thorough look becomes a cheap one
    /// where it `givesWay`. One that `isInsisting` is repeated where the image cannot be seen: while
    /// memory is plugged `/proc/kcore` moves.
    /// - Throws: A `SystemError` where the kernel's own files cannot be read.
    package mutating func look(
        _ depth: Audit.Depth, insisting isInsisting: Bool = false,
        givingWay givesWay: () -> Bool = { false }, now: () -> UInt64
    ) throws(SystemError) -> Look {
        var look = try observe(depth, givingWay: givesWay, now: now)
        for _ in 1..<Engine.mostGlances {
            guard look.mayPass && sawImage || look.isBlind && isInsisting else { break }
            Pause.milliseconds(20)
            look = try observe(depth, givingWay: givesWay, now: now)
        }
        sawImage = !look.mayPass
        return look
    }

    /// Looks once.
    private mutating func observe(
        _ depth: Audit.Depth, givingWay givesWay: () -> Bool, now: () -> UInt64
    ) throws(SystemError) -> Look {
        let begin = now()
        let support = try KernelSupport(of: root)
        let view = LiveView(of: root, on: architecture)
        let report = audit(depth, view, support, givingWay: givesWay)
        var seen = Observation(
            architecture: architecture, live: view.system, reserved: view.reserved,
            support: support, finding: report.finding, coverage: report.coverage,
            hotplugMemory: try HotplugMemory(of: root), remembered: savedState.described,
            expectsImage: savedState.expectsImage, grace: grace)
        // The image itself says whether the kernel keeps it up; asking takes the kexec lock.
        seen.keepsUp = seen.image?.kimage.kernelKeepsUp
        if let text = seen.image?.commandLine.value {
            savedState.commandLine = ResidentCommandLine.administrators(text)
        }
        if case .unknown = seen.finding, support.isLoaded == true {
            seen.keepsUp = try kernelsWord()
        }
        if case .known(let coverage) = seen.coverage, !coverage.isExact {
            let since = staleSince ?? begin
            staleSince = since
            seen.staleFor = begin - since
        } else {
            staleSince = nil
        }
        return Look(
            observation: seen, verdict: .judge(seen.facts), byteCount: report.byteCount,
            microseconds: now() - begin)
    }

    /// Brings the loaded image up to date if it needs it.
    ///
    /// What takes long and drops nothing, such as making a digest anew, asks now and then whether it
    /// `givesWay` to newer events; it is owed then, and made up for in a later call.
    /// - Throws: A `SystemError` where the kernel's own files cannot be read; then nothing was loaded
    ///   since the last successful look.
    package mutating func reconcile(
        on trigger: Trigger, _ depth: Audit.Depth = .cheap,
        givingWay givesWay: () -> Bool = { false }, now: () -> UInt64
    ) throws(SystemError) -> Reconciliation {
        isReconciling = true
        defer { (isReconciling, answer) = (false, nil) }
        var look = try look(depth, now: now)
        let first = look.verdict
        var trigger = trigger
        var refreshes: [Refresh] = []
        var unpatched: PatchObstacle?
        func ended(_ end: End) -> Reconciliation {
            Reconciliation(
                look: look, firstVerdict: first, refreshes: refreshes, unpatched: unpatched,
                end: end)
        }
        if trigger == .hotplug || look.verdict != uncured { uncured = nil }
        for _ in 0..<Engine.mostRounds {
            if look.observation.support.isLoaded == false {
                savedState.forgetImage()
                // One that a load of ours lost must come again as it was.
                if !savedState.expectsImage { savedState.commandLine = nil }
            }
            guard look.verdict.needsRefresh(on: trigger) else {
                if look.observation.support.isLoaded == true { savedState.expectsImage = false }
                guard savedState.owesDigest, !givesWay() else { return ended(.settled) }
                look = try self.look(.thorough, givingWay: givesWay, now: now)
                // What could not be made now stays owed, and is not tried again at once.
                guard !savedState.owesDigest || look.verdict.needsRefresh(on: .routine) else {
                    return ended(.settled)
                }
                continue
            }
            guard look.verdict != uncured else { return ended(.uncured) }
            if case .some(.some(false)) = answer {
                let since = noSince ?? now()
                noSince = since
                // It also says no while it updates the image itself, and that for each memory block.
                if now() - since < grace { return ended(.busy) }
            }
            let before = look
            let step = try lockedRefresh(given: look, givingWay: givesWay, now: now)
            refreshes += step.refreshes
            unpatched = step.unpatched ?? unpatched
            look = step.look
            if let end = step.end { return ended(end) }
            // What only the trigger called for has been done; what is seen now must call by itself.
            trigger = .routine
            guard look.verdict.needsRefresh(on: .routine) else { continue }
            // When to follow a machine that goes on changing is the caller's to decide.
            guard before.observation.live == look.observation.live else {
                return ended(.stillMoving)
            }
            // A patch that does not cure is followed by a reload.
            uncured = step.refreshes.last?.method == .reload ? look.verdict : nil
        }
        return ended(look.verdict.needsRefresh(on: .routine) ? .stillMoving : .settled)
    }

    /// Looks into reserved memory, where there is something to look at.
    private mutating func audit(
        _ depth: Audit.Depth, _ view: LiveView, _ support: KernelSupport,
        givingWay givesWay: () -> Bool
    ) -> (finding: Fact<Audit.Finding>, coverage: Fact<Coverage>, byteCount: UInt64) {
        guard support.isLoaded == true else {
            return (.known(.nothing), .unknown(because: "nothing is loaded"), 0)
        }
        switch (view.reserved, view.system) {
        case (.known(let reserved), .known(let live)):
            var audit = Audit(
                below: root, layout: savedState.layout, digest: savedState.digest,
                architecture: architecture)
            let report = audit.run(depth, reserved: reserved, live: live, givingWay: givesWay)
            savedState.layout = audit.layout
            if let image = report.finding.value?.image { remember(image) }
            let coverage = report.described.map {
                Coverage(live: live, described: $0, offline: report.offline)
            }
            return (report.finding, coverage, report.byteCount)
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            return (.unknown(because: reason), .unknown(because: reason), 0)
        }
    }

    /// Keeps what a look has found out about an image's digest, if it asked.
    private mutating func remember(_ image: ResidentImage) {
        switch image.integrity {
        case .verified:
            savedState.digest = image.digestCoversHeader ? image.digest : nil
            savedState.owesDigest = false
        case .mismatch, .none:
            savedState.owesDigest = false
        case .unknown: break
        }
    }

    /// Asks the kernel whether it keeps the image up, once in a reconciliation: it takes the kexec lock.
    private mutating func kernelsWord() throws(SystemError) -> Bool? {
        if let word = answer { return word }
        let word = try KernelSupport.keepsUp(below: root)
        if isReconciling { answer = .some(word) }
        if word == true { noSince = nil }
        return word
    }
}

extension Engine.Look {
    /// Whether the next look may find an image although this one found none, or none that is whole.
    ///
    /// A kernel that brings the header up to date itself takes the image away for as long as it writes
    /// (its `arch_crash_handle_hotplug_event`): microseconds, unless whatever
    /// emulates the processor is held up.
    fileprivate var mayPass: Bool {
        switch observation.finding {
        case .known(.nothing), .known(.broken): true
        case .known(.image), .unknown: false
        }
    }

    /// Whether it is not known what is loaded.
    fileprivate var isBlind: Bool { observation.finding.value == nil }
}
