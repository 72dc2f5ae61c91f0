// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Observes, judges, refreshes and observes again, until the loaded image is right or something bars
/// the way.
///
/// The one type that knows all the rooms. It is level-triggered: it is never told what happened, only
/// that something may have, and reads the facts from the machine and from reserved memory. It does not
/// log and does not schedule the next attempt: its caller gets every outcome as a value and does both.
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

    /// How long another may hold the lock of the kdump tool before the image is brought up to date
    /// without it, in microseconds.
    ///
    /// A tool loads for seconds; one that builds an initrd may take longer, with the old image in
    /// place. Half a minute is more than the first takes, and what hangs must not leave the machine
    /// unprotected: without the lock the kernel's own still admits one load at a time.
    static let longestHold: UInt64 = 30_000_000

    private let root: SystemRoot
    private let source: ImageSource?
    private let patches: Bool
    private let architecture: Architecture
    private let grace: UInt64

    /// Since when the image has been seen to be stale, in microseconds of the caller's clock.
    private var staleSince: UInt64?
    /// Since when somebody else has held the lock of the kdump tool, in microseconds of that clock.
    private var heldSince: UInt64?
    /// What the kernel has said in this reconciliation.
    private var answer = Answer.notAsked
    private var isReconciling = false
    /// Since when the kernel has answered no: the first no may only mean that the lock was held.
    private var noSince: UInt64?
    /// Whether the last look saw an image; the first look expects one.
    private var sawImage = true
    /// Whether the last thorough look was overtaken before it had the digest.
    private var wasOvertaken = false
    /// A verdict that a refresh did not cure: another refresh would not cure it either.
    private var uncured: Verdict?

    /// What the caller is to keep after each reconciliation.
    package private(set) var savedState: SavedState
    /// Called just before every load, with what the next daemon must know should this one die in it;
    /// see ``SavedState/expectsImage``.
    package var beforeLoad: (SavedState) -> Void = { _ in }
    /// Asked before each MiB of which a digest is computed: whether newer events are more urgent.
    ///
    /// The digest of a patched image is owed then, and computed in a later reconciliation. It is also
    /// the moment for the caller to show that it lives: nothing else here takes long.
    package var isOvertaken: () -> Bool = { false }

    /// What the kernel says when it is asked whether it keeps the image up.
    private enum Answer: Equatable {
        case notAsked
        /// Yes or no; `nil` where it has no such feature.
        case said(Bool?)
    }

    /// Creates an engine for the machine below `root` that reloads from `source`, or without one from
    /// what the distribution has configured, and rather patches where it may.
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
        self.grace = grace
    }
}

// MARK: - Observing

extension Engine {
    /// Looks at the machine and at reserved memory, and judges what is seen; changes nothing there.
    ///
    /// `now` tells the time in microseconds of a monotonic clock. What moves meanwhile, or shows less
    /// than there may be, is looked at again.
    /// - Throws: A `SystemError` where the kernel's own files cannot be read.
    package mutating func look(_ depth: Depth, now: () -> UInt64) throws(SystemError) -> Look {
        if !isReconciling { answer = .notAsked }
        var tries = Tries()
        while true {
            let (look, isMoving) = try observe(depth, now: now)
            let mayFindMore = isMoving || look.mayPass(sawImage: sawImage)
            guard mayFindMore, tries.again() else {
                sawImage = !look.isWithoutImage
                return look
            }
        }
    }

    /// Looks once, and tells whether anything moved.
    private mutating func observe(
        _ depth: Depth, now: () -> UInt64
    ) throws(SystemError) -> (Look, isMoving: Bool) {
        let begin = now()
        let support = try KernelSupport(of: root)
        let view = LiveView(of: root, on: architecture) { contiguousReserve() }
        let report = audit(depth, view, support)
        var seen = Observation(
            architecture: architecture, live: view.system, notes: view.notes,
            isUnsettled: view.isUnsettled, reserved: view.reserved,
            support: support, finding: report.finding, isEncrypted: report.isEncrypted,
            coverage: Engine.coverage(report, of: view.system),
            hotplugMemory: try HotplugMemory(of: root), remembered: savedState.described,
            expectsImage: savedState.expectsImage, grace: grace)
        seen.keepsUp = try keepsUp(seen)
        if let text = seen.image?.commandLine.value {
            savedState.commandLine = ResidentCommandLine.administrators(text)
        }
        if case .known(let coverage) = seen.coverage, !coverage.isExact {
            let since = staleSince ?? begin
            staleSince = since
            seen.staleFor = begin - since
        } else {
            staleSince = nil
        }
        let look = Look(
            observation: seen, verdict: .judge(seen.facts), byteCount: report.byteCount,
            microseconds: now() - begin)
        return (look, view.isMoving || report.isMoving)
    }

    /// Asks the kernel's memory for the ranges of `crashkernel=…,cma`, once a boot.
    private mutating func contiguousReserve() -> Fact<AddressRanges> {
        if let known = savedState.contiguousReserve { return .known(known) }
        let fact = Fact { () throws(Unknowable) in try ContiguousReserve.ranges(below: root) }
        savedState.contiguousReserve = fact.value
        return fact
    }

    /// Looks into reserved memory, if something is loaded.
    private mutating func audit(
        _ depth: Depth, _ view: LiveView, _ support: KernelSupport
    ) -> Audit.Report {
        wasOvertaken = false
        guard support.isLoaded == true else { return .nothing }
        switch (view.reserved, view.system) {
        case (.known(let reserved), .known(let live)):
            var audit = Audit(
                below: root, layout: savedState.layout, digest: savedState.digest,
                architecture: architecture)
            var report = audit.run(reserved: reserved, live: live, notes: view.notes)
            savedState.layout = audit.layout
            if depth != .cheap { computeDigest(depth, for: &report, within: reserved) }
            if let image = report.finding.value?.image { remember(image) }
            return report
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            return .unknown(because: reason)
        }
    }

    /// How the machine that an image describes differs from the real one.
    private static func coverage(
        _ report: Audit.Report, of live: Fact<LiveSystem>
    ) -> Fact<Coverage> {
        switch (report.described, live) {
        case (.known(let described), .known(let live)):
            .known(Coverage(live: live, described: described, offline: report.offline))
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            .unknown(because: reason)
        }
    }

    /// Computes the digest of an image that was found.
    private mutating func computeDigest(
        _ depth: Depth, for report: inout Audit.Report, within reserved: [AddressRange]
    ) {
        guard let layout = savedState.layout else { return }
        do throws(Unknowable) {
            wasOvertaken = try report.computeDigest(
                below: root, laidOut: layout, within: AddressRanges(reserved),
                isOvertaken: { isOvertaken() && depth == .interruptible })
        } catch {
            report = .unknown(because: error.reason, isMoving: error.mayPass)
        }
    }

    /// Keeps what a look has found out about an image's digest.
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

    /// Whether the kernel keeps the image up; `nil` where it has no such feature.
    ///
    /// An image that can be read says so itself. Where it cannot, the kernel is asked, once in a look
    /// or a reconciliation, because that takes the kexec lock.
    private mutating func keepsUp(_ seen: Observation) throws(SystemError) -> Bool? {
        guard seen.support.isLoaded == true, case .unknown = seen.finding else {
            return seen.image?.kimage.kernelKeepsUp
        }
        if case .said(let word) = answer { return word }
        let word = try KernelSupport.keepsUp(below: root)
        answer = .said(word)
        if word == true { noSince = nil }
        return word
    }
}

// MARK: - Reconciling

extension Engine {
    /// Brings the loaded image up to date if necessary.
    ///
    /// - Throws: A `SystemError` where the kernel's own files cannot be read; then nothing was loaded
    ///   since the last successful look.
    package mutating func reconcile(
        on trigger: Trigger, _ depth: Depth = .cheap, now: () -> UInt64
    ) throws(SystemError) -> Reconciliation {
        (isReconciling, answer) = (true, .notAsked)
        defer { isReconciling = false }
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
            let isNeeded = look.verdict.needsRefresh(on: trigger)
            note(look.observation.support.isLoaded, isRefreshNeeded: isNeeded)
            guard isNeeded else {
                guard try computesOwedDigest(&look, now: now) else { return ended(.settled) }
                continue
            }
            guard look.verdict != uncured else { return ended(.uncured) }
            guard !isToBeAskedAgain(now()) else { return ended(.busy) }
            let before = look
            let step = try lockedRefresh(given: look, now: now)
            refreshes += step.refreshes
            unpatched = step.unpatched ?? unpatched
            look = step.look
            if let end = step.end { return ended(end) }
            // What only the trigger asked for is done; from here on the verdict alone decides.
            trigger = .routine
            guard look.verdict.needsRefresh(on: .routine) else { continue }
            // The caller decides when to follow a machine that keeps changing.
            guard before.observation.live == look.observation.live else {
                return ended(.stillMoving)
            }
            // A patch that does not cure is followed by a reload.
            uncured = step.refreshes.last?.method == .reload ? look.verdict : nil
        }
        return ended(look.verdict.needsRefresh(on: .routine) ? .stillMoving : .settled)
    }

    /// Computes the digest that is owed, unless newer events are more urgent; returns whether it did.
    private mutating func computesOwedDigest(
        _ look: inout Look, now: () -> UInt64
    ) throws(SystemError) -> Bool {
        guard savedState.owesDigest, !isOvertaken() else { return false }
        look = try self.look(.interruptible, now: now)
        // What could not be computed now stays owed, and is not tried again at once.
        return !savedState.owesDigest || look.verdict.needsRefresh(on: .routine)
    }

    /// Forgets what an image that is gone can no longer be asked, and stops expecting one that is there.
    private mutating func note(_ isLoaded: Bool?, isRefreshNeeded: Bool) {
        switch isLoaded {
        case false:
            savedState.forgetImage()
            // One that a load of ours lost must come again as it was.
            if !savedState.expectsImage { savedState.commandLine = nil }
        case true where !isRefreshNeeded:
            savedState.expectsImage = false
        default: break
        }
    }

    /// Whether the kernel has said no too recently to be believed.
    ///
    /// It also says no while it updates the image itself, and that for each memory block.
    private mutating func isToBeAskedAgain(_ now: UInt64) -> Bool {
        guard answer == .said(false) else { return false }
        let since = noSince ?? now
        noSince = since
        return now - since < grace
    }

    /// The result of one attempt.
    private struct Step {
        /// The look after it.
        var look: Look
        /// The loads that succeeded.
        var refreshes: [Refresh] = []
        /// What barred the patch that would have been the better way.
        var unpatched: PatchObstacle?
        /// Set where no further attempt makes sense now.
        var end: End?
    }

    /// Makes one attempt to bring the image up to date, under the lock of the kdump tool.
    private mutating func lockedRefresh(
        given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let attempt = lockAttempt()
        if case .held(let holder) = attempt {
            let since = heldSince ?? now()
            heldSince = since
            guard now() - since >= Engine.longestHold else {
                return Step(look: look, end: .held(holder))
            }
        } else {
            heldSince = nil
        }
        // Whoever had the lock until now may have unloaded the image that was looked at, on purpose.
        guard try KernelSupport(of: root).isLoaded == look.observation.support.isLoaded else {
            return Step(look: try self.look(.cheap, now: now))
        }
        let step = try refresh(given: look, now: now)
        return withExtendedLifetime(attempt) { step }
    }

    private func lockAttempt() -> LoadLock.Attempt {
        guard let family = Configuration.family(below: root, on: architecture) else {
            return .absent
        }
        return LoadLock.attempt(family.lock, below: root)
    }

    /// Makes one attempt to bring the image up to date, and looks again.
    private mutating func refresh(
        given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        guard case .stale = look.verdict, look.observation.image != nil else {
            return try reload(given: look, now: now)
        }
        switch patchPlan(given: look) {
        case .failure(let obstacle):
            return try reload(given: look, insteadOf: obstacle, now: now)
        case .success where !root.prefix.isEmpty:
            return try reload(given: look, now: now)
        case .success(let plan):
            // A reload that adds the parameter makes the image current, too.
            if look.observation.lacks.contains(where: { $0.urgency == .now }),
                case .success(let reload) = preparedReload(of: configuration(), given: look)
            {
                return try run(reload, given: look, now: now)
            }
            return try patch(by: plan, given: look, now: now)
        }
    }
}

// MARK: - Patching

extension Engine {
    private func patchPlan(given look: Look) -> Result<PatchPlan, PatchObstacle> {
        Result { () throws(PatchObstacle) in
            guard patches else { throw .switchedOff }
            let seen = look.observation
            if let kimage = seen.image?.kimage, savedState.unpatchable == kimage.fingerprint {
                throw .failedBefore
            }
            let plan = try PatchPlan(for: seen)
            // What is remembered comes last: what is seen tells more.
            if let errno = savedState.refusal { throw .refused(errno: errno) }
            return plan
        }
    }

    /// Patches the image, checks the result, and falls back to a reload.
    private mutating func patch(
        by plan: PatchPlan, given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        var (plan, look) = (plan, look)
        if plan.isDigestUnfound {
            // The digest is found by its value; and damage must not get a new digest.
            look = try self.look(.thorough, now: now)
            guard case .stale = look.verdict else { return Step(look: look) }
        }
        let patch: Patch?
        do throws(PatchObstacle) {
            if plan.isDigestUnfound { plan = try patchPlan(given: look).get() }
            guard let layout = savedState.layout, let reserved = look.observation.reserved.value
            else { throw .imageNotUnderstood(because: "it cannot be read") }
            patch = try Patch.prepare(
                plan, below: root, laidOut: layout, within: AddressRanges(reserved))
        } catch {
            return try reload(given: look, insteadOf: error, now: now)
        }
        // What another program has loaded meanwhile may be right.
        guard let patch else { return Step(look: try self.look(.cheap, now: now)) }
        return try apply(patch, given: look, now: now)
    }

    private mutating func apply(
        _ patch: Patch, given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        announceLoad()
        let begin = now()
        let attempt = patch.run()
        switch attempt.errno {
        case EBUSY:
            return Step(look: look, end: .busy)
        case 0:
            savedState.described = look.observation.live.value
            let refresh = Refresh(method: .patch, window: attempt.microseconds)
            return try verified(refresh, of: look, now: now)
        default:
            guard try KernelSupport(of: root).isLoaded != true else {
                let obstacle = refused(attempt, given: look)
                return try reload(given: look, insteadOf: obstacle, now: now)
            }
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            savedState.forgetImage()
            savedState.expectsImage = true
            // What cannot be read cannot be replayed; only a reload is left.
            guard let replayed = try? patch.replay(), replayed.errno == 0 else {
                var step = try reload(given: look, insteadOf: .failedBefore, now: now)
                if case .blocked = step.end { step.look = try self.look(.cheap, now: now) }
                return step
            }
            savedState.expectsImage = false
            savedState.described = look.observation.live.value
            return try verified(
                Refresh(method: .replay, window: now() - begin), of: look, now: now)
        }
    }

    /// Notes a patch that failed and dropped nothing, and returns what it bars.
    private mutating func refused(_ attempt: Kexec.Attempt, given look: Look) -> PatchObstacle {
        guard let obstacle = PatchObstacle(lastingRefusal: attempt.errno) else {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            return .failedBefore
        }
        savedState.refusal = attempt.errno
        return obstacle
    }

    /// Looks at everything after a patch, and reloads at once if the image is not sound.
    ///
    /// The digest is what takes long. It gives way to newer events, after which there will be another
    /// patch and another look; all else is always looked at.
    private mutating func verified(
        _ refresh: Refresh, of before: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        savedState.owesDigest = true
        let look = try look(refresh.method == .patch ? .interruptible : .thorough, now: now)
        // Whoever unloads it at this moment wants it unloaded.
        if look.observation.support.isLoaded == false {
            return Step(look: look, refreshes: [refresh])
        }
        // What cannot be seen is not verified.
        let isSound = look.isSound(after: before, withoutDigest: wasOvertaken)
        if refresh.method == .replay || !isSound {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
        }
        guard !isSound else { return Step(look: look, refreshes: [refresh]) }
        var step = try reload(given: look, insteadOf: .failedBefore, now: now)
        step.refreshes.insert(refresh, at: 0)
        return step
    }

    /// Saves that an image is expected, before a load that may lose it.
    private func announceLoad() {
        var ahead = savedState
        ahead.expectsImage = true
        beforeLoad(ahead)
    }
}

// MARK: - Reloading

extension Engine {
    /// Returns what would bar a patch and a reload now, without attempting either.
    package func ways(given look: Look) -> Ways {
        let configuration = configuration()
        let (patch, reload) = (
            patchPlan(given: look), preparedReload(of: configuration, given: look)
        )
        return Ways(
            patch: patch.obstacle, reload: reload.obstacle, configuration: try? configuration.get())
    }

    /// What a reload is to load, as it is configured at this moment.
    private func configuration() -> Result<Configuration, Obstacle> {
        Result { () throws(Obstacle) in
            try Configuration.find(named: source, below: root, on: architecture)
        }
    }

    private func preparedReload(
        of found: Result<Configuration, Obstacle>, given look: Look
    ) -> Result<Reload, Obstacle> {
        Result { () throws(Obstacle) in
            try Reload.prepare(
                found, remembered: savedState.commandLine, insteadOf: look.observation)
        }
    }

    /// Loads all of the image from files, and looks again.
    private mutating func reload(
        given look: Look, insteadOf patch: PatchObstacle? = nil, now: () -> UInt64
    ) throws(SystemError) -> Step {
        switch preparedReload(of: configuration(), given: look) {
        case .success(let reload):
            return try run(reload, given: look, insteadOf: patch, now: now)
        case .failure(let obstacle):
            return Step(look: look, unpatched: patch, end: .blocked(obstacle))
        }
    }

    private mutating func run(
        _ reload: Reload, given look: Look, insteadOf patch: PatchObstacle? = nil,
        now: () -> UInt64
    ) throws(SystemError) -> Step {
        let attempt: Kexec.Attempt
        do throws(Obstacle) {
            // The files below another root are of another machine, the system call is of this one.
            guard root.prefix.isEmpty else { throw .anotherMachine }
            try reload.hold()
            announceLoad()
            attempt = reload.run()
        } catch {
            return Step(look: look, unpatched: patch, end: .blocked(error))
        }
        if attempt.errno == EBUSY { return Step(look: look, end: .busy) }
        if attempt.errno == 0 {
            // The image describes the machine of some moment since `look`; if it is still the same
            // machine, that one. If not, the next round's verdict is stale and it is loaded again.
            savedState.described = look.observation.live.value
            savedState.expectsImage = false
            savedState.unpatchable = nil
            let refresh = Refresh(method: .reload, window: attempt.microseconds)
            return Step(
                look: try self.look(.thorough, now: now), refreshes: [refresh], unpatched: patch)
        }
        let error = SystemError("kexec_file_load", errno: attempt.errno)
        let stillLoaded = try KernelSupport(of: root).isLoaded == true
        if stillLoaded { return Step(look: look, end: .refused(error)) }
        savedState.forgetImage()
        savedState.expectsImage = true
        return Step(look: try self.look(.cheap, now: now), end: .unprotected(error))
    }
}

extension Result {
    /// What bars a way; `nil` where nothing does.
    fileprivate var obstacle: Failure? {
        if case .failure(let obstacle) = self { obstacle } else { nil }
    }
}

extension Engine.Look {
    /// Whether it saw no image, or none that is whole.
    fileprivate var isWithoutImage: Bool {
        switch observation.finding {
        case .known(.nothing), .known(.broken): true
        case .known(.image), .unknown: false
        }
    }

    /// Whether the next look may find an image although this one found none, or none that is whole.
    ///
    /// A kernel that brings the header up to date itself takes the image away for as long as it writes
    /// (its `arch_crash_handle_hotplug_event`): microseconds, unless whatever emulates the processor
    /// is held up.
    fileprivate func mayPass(sawImage: Bool) -> Bool {
        if sawImage { return isWithoutImage }
        return observation.finding == .known(.nothing) && observation.support.isLoaded == true
    }

    /// Whether the image is whole, spared by the kernel's own pages, and right, or stale only because
    /// the machine has changed since it was seen `before`.
    fileprivate func isSound(after before: Engine.Look, withoutDigest isUnmade: Bool) -> Bool {
        guard let image = observation.image, image.integrity == .verified || isUnmade,
            image.integrity != .mismatch,
            let hole = observation.reserved.value?.first(where: { $0.holds(image.kimage.entry) }),
            image.sparesItsParts(in: hole)
        else { return false }
        return observation.coverage.value?.isExact == true
            || observation.live != before.observation.live
    }
}

extension Kimage {
    /// What tells one load from most others: where the kernel keeps its structure, the entry, the list,
    /// and the kernel's own pages.
    fileprivate var fingerprint: String {
        let places = segments.map { "\(hexadecimal($0.range.start))-\(hexadecimal($0.range.end))" }
        return ([address ?? 0, entry, controlPage].map(hexadecimal) + places)
            .joined(separator: " ")
    }
}
