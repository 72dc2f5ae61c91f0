// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Observes, judges, refreshes and observes again, until the loaded image is right or something
/// prevents that.
///
/// The only type that knows all the rooms. It is level-triggered: it is told that something may
/// have happened, never what, and reads the facts from the machine and from reserved memory. It
/// does not log and does not schedule the next attempt: its caller gets every outcome as a value
/// and does both.
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

    /// How long a kernel that cannot be looked at may say no before it is believed, in microseconds.
    ///
    /// It says no as long as anybody holds the kexec lock, and a load takes seconds.
    static let doubt: UInt64 = 1_000_000

    /// How long another program may hold the lock of the kdump tool before the engine refreshes
    /// without it, in microseconds.
    ///
    /// A load takes seconds, so half a minute is ample. A tool that builds an initrd takes longer,
    /// but keeps the old image in place meanwhile. A tool that hangs must not leave the machine
    /// unprotected, and without this lock the kernel still admits only one load at a time.
    static let longestHold: UInt64 = 30_000_000

    private let root: SystemRoot
    private let source: ImageSource?
    private let patches: Bool
    private let architecture: Architecture
    private let grace: UInt64
    /// When a load is worth its price.
    private var loads: Loads
    /// The file that the distribution's kdump tool locks; `nil` if it has none.
    private var lock: String?
    /// Which memory is leaving.
    private var passage = Passage()
    /// When the event came that made us look, in microseconds of the caller's clock; `nil` if none did.
    private var eventTime: UInt64?
    /// What the machine looked like when the image last described just that; `nil` if the last look found
    /// a difference.
    private var matched: LiveView.Fingerprint?

    /// Since when every look has found the image stale, in microseconds of the caller's clock.
    private var staleSince: UInt64?
    /// Since when somebody else has held the lock of the kdump tool, in microseconds of that clock.
    private var heldSince: UInt64?
    /// The kernel's answer in this reconciliation.
    private var answer = Answer.notAsked
    private var isReconciling = false
    /// Since when the kernel has said no of the image that is loaded: the first no may only mean
    /// that the lock was held.
    private var noSince: UInt64?
    /// Whether the last look saw an image; the first look expects one.
    private var sawImage = true
    /// The digest that is owed; `nil` if none is, or if the image cannot be read.
    private var owed: OwedDigest?
    /// A digest that was computed as work of the loop, until a look has used it.
    private var computed: DigestWork?
    /// A digest that did not match, as long as its image is there: damage does not pass.
    private var damaged: DigestWork?

    /// The state that the caller saves after each reconciliation.
    package private(set) var savedState: SavedState
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

    /// What the kernel says when it is asked whether it updates the image itself.
    private enum Answer: Equatable {
        case notAsked
        /// Yes or no; `nil` if it has no such feature.
        case said(Bool?)
    }

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
        self.grace = grace
        loads = Loads(windows: savedState.windows)
    }
}

// MARK: - Observing

extension Engine {
    /// Looks at the machine and at reserved memory and judges what it sees; changes nothing there.
    ///
    /// `now` returns the time in microseconds of a monotonic clock. If something moves meanwhile,
    /// or an image may only be hidden for a moment, it looks again.
    /// - Throws: A `SystemError` if the kernel's own files cannot be read.
    package mutating func look(_ depth: Depth, now: () -> UInt64) throws(SystemError) -> Look {
        if !isReconciling { answer = .notAsked }
        var tries = Tries()
        while true {
            let (look, isMoving) = try observe(depth, &tries, now: now)
            let mayFindMore = isMoving || look.mayPass(sawImage: sawImage)
            guard mayFindMore, tries.again() else {
                sawImage = !look.isWithoutImage
                return look
            }
        }
    }

    /// Looks once, and returns whether anything moved meanwhile.
    private mutating func observe(
        _ depth: Depth, _ tries: inout Tries, now: () -> UInt64
    ) throws(SystemError) -> (Look, isMoving: Bool) {
        let begin = now()
        let support = try KernelSupport(of: root)
        let view = LiveView(of: root, on: architecture) { contiguousReserve() }
        let report = audit(depth, view, support, &tries)
        var seen = Observation(
            architecture: architecture, live: view.system, notes: view.notes,
            isUnsettled: view.isUnsettled, reserved: view.reserved,
            support: support, finding: report.finding, isEncrypted: report.isEncrypted,
            coverage: Engine.coverage(report, of: view.system),
            hotplugMemory: try hotplugMemory(for: report.finding.value?.image),
            remembered: remembered(as: report.list),
            expectsImage: savedState.expectsImage, grace: grace)
        seen.keepsUp = try keepsUp(seen)
        seen.ahead = ahead(of: view, report, kernelUpdates: seen.keepsUp == true)
        let isExact = seen.coverage.value?.isExact == true && seen.ahead == nil
        matched = isExact ? view.fingerprint : nil
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
        loads.note(losing: seen.loss, since: eventTime ?? begin, at: begin)
        let look = Look(
            observation: seen, verdict: .judge(seen.facts), byteCount: report.byteCount,
            microseconds: now() - begin)
        return (look, view.mayPass || report.isMoving)
    }

    /// Asks for the memory that ACPI can add, unless an image is ready for all there may be.
    ///
    /// ACPI's own code answers, which takes as long as the rest of a look.
    private func hotplugMemory(for image: ResidentImage?) throws(SystemError) -> HotplugMemory {
        let most = HotplugMemory(isPossible: true, isPresent: true)
        if let text = image?.commandLine.value, CaptureNeed.lacking(in: text, on: most).isEmpty {
            return HotplugMemory(isPossible: false, isPresent: false)
        }
        return try HotplugMemory(of: root)
    }

    /// Looks ahead, if the image describes the machine of this moment.
    private mutating func ahead(
        of view: LiveView, _ report: Audit.Report, kernelUpdates: Bool
    ) -> Ahead? {
        guard case .known(let live) = view.system else { return nil }
        let leaving = passage.leaving(live.ram, absent: view.absent)
        guard case .known(let described) = report.described,
            Engine.coverage(report, of: view.system).value?.isExact == true
        else { return nil }
        return Ahead(live, leaving: leaving, described: described, kernelUpdates: kernelUpdates)
    }

    /// Whether nothing has changed since a look found nothing to do.
    ///
    /// It is asked at each event of a burst. What shows neither in the memory map nor in the list of CPUs,
    /// such as an image that another program has loaded, is found by the look at the end of the burst.
    package mutating func seesNothingNew() -> Bool {
        guard let matched, let now = LiveView.fingerprint(below: root)?.following(matched)
        else { return false }
        if now.awaited == 0 { passage.settle() }
        self.matched = now
        return true
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
        _ depth: Depth, _ view: LiveView, _ support: KernelSupport, _ tries: inout Tries
    ) -> Audit.Report {
        guard support.isLoaded == true else { return .nothing }
        switch (view.reserved, view.system) {
        case (.known(let reserved), .known(let live)):
            var audit = Audit(
                below: root, layout: savedState.layout, digest: savedState.digest,
                architecture: architecture)
            var report = audit.run(reserved: reserved, live: live, notes: view.notes)
            savedState.layout = audit.layout
            report.list = audit.kimage?.fingerprint
            switch depth {
            case .thorough: computeDigest(for: &report, within: reserved, &tries)
            case .cheap: takeComputed(for: &report)
            }
            if let image = report.finding.value?.image { remember(image) }
            owe(report.work, within: reserved)
            return report
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            return .unknown(because: reason)
        }
    }

    /// The machine for which this program loaded what is loaded; `nil` if another program has loaded
    /// since, by the kernel's list, where that can be read.
    private mutating func remembered(as list: String?) -> LiveSystem? {
        guard let list, savedState.described != nil else { return savedState.described }
        if savedState.describedImage == nil { savedState.describedImage = list }
        return savedState.describedImage == list ? savedState.described : nil
    }

    /// How the real machine differs from the one that the image describes.
    private static func coverage(
        _ report: Audit.Report, of live: Fact<LiveSystem>
    ) -> Fact<Coverage> {
        switch (report.described, live) {
        case (.known(let described), .known(let live)):
            .known(
                Coverage(
                    live: live, described: described, offline: report.offline,
                    unbootable: report.unbootable, flaw: report.finding.value?.image?.flaw))
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            .unknown(because: reason)
        }
    }

    /// Computes the digest of an image that was found, or the rest of one that is owed.
    private mutating func computeDigest(
        for report: inout Audit.Report, within reserved: [AddressRange], _ tries: inout Tries
    ) {
        guard let layout = savedState.layout, let fresh = report.work else { return }
        var work = fresh
        if let owed, owed.work.isAboutSameImage(as: fresh) { work = owed.work }
        owed = nil
        do throws(Unknowable) {
            try report.computeDigest(
                by: &work, below: root, laidOut: layout, within: AddressRanges(reserved),
                tries: &tries, beat: beat)
            finish(work)
        } catch {
            report = .unknown(because: error.reason, isMoving: error.mayPass)
        }
    }

    /// Takes over what the loop has computed, or that the image is damaged, if it is still the
    /// same.
    private mutating func takeComputed(for report: inout Audit.Report) {
        guard let fresh = report.work else { return }
        if let work = computed, work.isAboutSameImage(as: fresh) { finish(work) }
        guard let work = computed ?? damaged else { return }
        computed = nil
        if work.isAboutSameImage(as: fresh) { report.accept(work) } else { damaged = nil }
    }

    /// Notes that a digest is computed; only one that does not match matters for later looks.
    private mutating func finish(_ work: DigestWork) {
        savedState.owesDigest = false
        damaged = work.outcome?.integrity == .mismatch ? work : nil
    }

    /// Begins the work on a digest that is owed, or goes on with it.
    private mutating func owe(_ work: DigestWork?, within reserved: [AddressRange]) {
        guard savedState.owesDigest, let work, let layout = savedState.layout else {
            owed = nil
            return
        }
        if let owed, owed.work.isAboutSameImage(as: work) { return }
        owed = OwedDigest(work, laidOut: layout, within: AddressRanges(reserved))
    }

    /// Does the next step of the digest that is owed; after the last one the caller must look
    /// again.
    package mutating func computeOwedDigest() -> OwedDigest.Progress {
        guard let progress = owed?.step(below: root) else { return .nothing }
        switch progress {
        case .more, .later: break
        case .done: (computed, owed) = (owed?.work, nil)
        case .nothing: owed = nil
        }
        return progress
    }

    /// Whether there is a digest for ``computeOwedDigest()`` to compute.
    package var hasWork: Bool { owed != nil }

    /// Keeps what a look has found out about an image's digest.
    private mutating func remember(_ image: ResidentImage) {
        switch image.integrity {
        case .verified: savedState.digest = image.digestCoversEdits ? image.digest : nil
        case .none: savedState.owesDigest = false
        case .mismatch: break
        case .unknown:
            // The first patch will need it. Known in advance, it does not hold the patch up.
            if image.digestCoversEdits, image.digest?.found == nil { savedState.owesDigest = true }
        }
    }

    /// Whether the kernel updates the image itself; `nil` if it has no such feature.
    ///
    /// `struct kimage` says so, if it can be read. If not, the kernel is asked, but only once in a
    /// look or a reconciliation, because that takes the kexec lock.
    private mutating func keepsUp(_ seen: Observation) throws(SystemError) -> Bool? {
        guard seen.support.isLoaded == true, case .unknown = seen.finding else {
            noSince = nil
            return seen.image?.kimage.kernelKeepsUp
        }
        if case .said(let word) = answer { return word }
        let word = try KernelSupport.keepsUp(below: root)
        answer = .said(word)
        if word != false { noSince = nil }
        return word
    }
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
        (isReconciling, answer, eventTime) = (true, .notAsked, since)
        defer { (isReconciling, eventTime) = (false, nil) }
        // Its place is in a configuration file, whose reading takes longer than a look at an event may.
        if trigger != .event { lock = Configuration.family(below: root, on: architecture)?.lock }
        if verifies { savedState.owesDigest = true }
        var look = try look(.cheap, now: now)
        let first = look.verdict
        var anticipated: Coverage?
        var trigger = trigger
        var refreshes: [Refresh] = []
        var unpatched: PatchObstacle?
        var rival: Rival?
        var replacement: Replacement?
        func ended(_ end: End) -> Reconciliation {
            Reconciliation(
                look: look, firstVerdict: first, anticipated: anticipated,
                refreshes: refreshes, unpatched: unpatched,
                replacement: replacement, rival: rival, end: end)
        }
        if trigger != .routine || look.verdict != savedState.uncured { savedState.uncured = nil }
        for _ in 0..<Engine.mostRounds {
            let isNeeded = look.verdict.needsRefresh(on: trigger)
            note(look.observation.support.isLoaded, isRefreshNeeded: isNeeded)
            guard let need = need(seenBy: look, on: trigger) else { return ended(.settled) }
            guard look.verdict != savedState.uncured else { return ended(.uncured) }
            guard !isToBeAskedAgain(now()) else { return ended(.busy) }
            if let time = postponed(need, on: trigger, now()) {
                return ended(
                    trigger == .event ? .postponed(until: time) : .resting(until: time))
            }
            let before = need.look
            let step = try lockedRefresh(need, now: now)
            if before.isAhead, !step.refreshes.isEmpty {
                anticipated = before.observation.coverage.value
            }
            refreshes += step.refreshes
            unpatched = step.unpatched ?? unpatched
            rival = step.rival ?? rival
            replacement = step.replacement ?? replacement
            look = step.look
            if let end = step.end { return ended(end) }
            // The trigger has had its refresh. From here on the verdict alone decides.
            trigger = .routine
            guard look.verdict.needsRefresh(on: .routine) else { continue }
            // When to follow a machine that keeps changing is the caller's decision.
            guard before.observation.live == look.observation.live else {
                return ended(.stillMoving)
            }
            // A patch that does not help is followed by a reload. What a reload has left out, a patch may
            // add, unless one has already failed to.
            let isReloaded = step.refreshes.last?.method == .reload
            let hasPatched = refreshes.contains { $0.method != .reload }
            let isUncured = isReloaded && (hasPatched || !isPatchable(look))
            savedState.uncured = isUncured ? look.verdict : nil
        }
        return ended(look.verdict.needsRefresh(on: .routine) ? .stillMoving : .settled)
    }

    /// A refresh that is needed.
    private struct Need {
        /// Why.
        let look: Look
        /// How the image would be patched, or why it cannot be; `nil` if no patch would help.
        let plan: Result<PatchPlan, PatchObstacle>?
    }

    /// Returns what a look calls for; `nil` if nothing.
    ///
    /// At an event of a hotplug that has only begun, that is a patch for the machine of a moment later,
    /// as if it were there.
    private func need(seenBy look: Look, on trigger: Trigger) -> Need? {
        if look.verdict.needsRefresh(on: trigger) {
            guard case .stale = look.verdict, look.observation.image != nil else {
                return Need(look: look, plan: nil)
            }
            return Need(look: look, plan: patchPlan(given: look))
        }
        guard trigger == .event, look.verdict == .current, let ahead = look.observation.ahead
        else { return nil }
        var seen = look.observation
        seen.live = .known(ahead.system)
        seen.coverage = .known(ahead.coverage)
        let later = Look(
            observation: seen, verdict: .stale(ahead.coverage), byteCount: look.byteCount,
            microseconds: look.microseconds, isAhead: true)
        let plan = patchPlan(given: later)
        return plan.obstacle == nil ? Need(look: later, plan: plan) : nil
    }

    /// Whether a patch can make an image right.
    private func isPatchable(_ look: Look) -> Bool {
        guard case .success? = need(seenBy: look, on: .routine)?.plan else { return false }
        return true
    }

    /// When a load is worth its price; `nil` if it is now, or if there is nothing to lose.
    private func postponed(_ need: Need, on trigger: Trigger, _ now: UInt64) -> UInt64? {
        switch need.look.verdict {
        case .lost, .broken: return nil
        default: break
        }
        guard trigger != .request else { return nil }
        let isPatch = if case .success = need.plan { true } else { false }
        let time = loads.due(
            isPatch ? .patch : .reload, isOver: trigger != .event,
            isLast: need.look.observation.support.loadsLeft == 1, at: now)
        return time > now ? time : nil
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

    /// Whether the kernel's no is too recent to be believed.
    ///
    /// It also says no while it updates the image itself, once for each memory block.
    private mutating func isToBeAskedAgain(_ now: UInt64) -> Bool {
        guard answer == .said(false) else { return false }
        let since = noSince ?? now
        noSince = since
        return now - since < Engine.doubt
    }

    /// The result of one attempt.
    private struct Step {
        /// The look after it.
        var look: Look
        /// The loads that succeeded.
        var refreshes: [Refresh] = []
        /// What prevented a patch, which would have been better.
        var unpatched: PatchObstacle?
        /// How the files of the last reload differ from those of the image before.
        var replacement: Replacement?
        /// What another program did before anything was loaded, so that nothing was.
        var rival: Rival?
        /// Set if no further attempt makes sense now.
        var end: End?
    }

    /// Makes one attempt to bring the image up to date, under the lock of the kdump tool.
    private mutating func lockedRefresh(
        _ need: Need, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let look = need.look
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
        // The previous holder of the lock may have unloaded the image on purpose.
        guard try KernelSupport.isLoaded(below: root) == look.observation.support.isLoaded else {
            let latest = try self.look(.cheap, now: now)
            return Step(look: latest, rival: Rival(before: look, now: latest))
        }
        let step = try refresh(need, now: now)
        return withExtendedLifetime(attempt) { step }
    }

    private func lockAttempt() -> LoadLock.Attempt {
        lock.map { LoadLock.attempt($0, below: root) } ?? .absent
    }

    /// Makes one attempt to bring the image up to date, and looks again.
    private mutating func refresh(
        _ need: Need, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let look = need.look
        switch need.plan {
        case nil:
            return try reload(given: look, now: now)
        case .failure(let obstacle)?:
            return try reload(given: look, insteadOf: obstacle, now: now)
        case .success? where !root.prefix.isEmpty:
            return try reload(given: look, now: now)
        case .success(let plan)?:
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
            var seen = look.observation
            if let kimage = seen.image?.kimage, savedState.unpatchable == kimage.fingerprint {
                throw .failedBefore
            }
            if look.keepsTheLastLoad { throw .lastLoad }
            if look.keepsKeysHidden { throw .encryptedTarget }
            if let firmware = architecture.patching?.firmware?(root) { seen.firmware = firmware }
            let plan = try PatchPlan(for: seen)
            // Last, because an obstacle that can be seen says more.
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
            // The digest is found by its value. And a damaged image must not get a new digest.
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
        let begin = now()
        let attempt = loading(.patch) { patch.run() }
        switch attempt.errno {
        case EBUSY:
            return Step(look: look, end: .busy)
        case 0:
            savedState.described = look.observation.live.value
            count(.patch, attempt.microseconds, now())
            let refresh = Refresh(method: .patch, window: attempt.microseconds)
            return try verified(refresh, of: look, now: now)
        default:
            guard try KernelSupport.isLoaded(below: root) != true else {
                let obstacle = refused(attempt, given: look)
                return try reload(given: look, insteadOf: obstacle, now: now)
            }
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            savedState.forgetImage()
            savedState.expectsImage = true
            // An image that cannot be read cannot be replayed, so only a reload is left.
            let replayed = try? loading(.reload) { () throws(PatchObstacle) in try patch.replay() }
            guard replayed?.errno == 0 else {
                return try reload(given: lostLook(now), insteadOf: .failedBefore, now: now)
            }
            savedState.expectsImage = false
            savedState.described = look.observation.live.value
            return try verified(
                Refresh(method: .replay, window: now() - begin), of: look, now: now)
        }
    }

    /// Counts a load that has just ended, and what it cost, in microseconds.
    private mutating func count(_ kind: Loads.Kind, _ window: UInt64, _ now: UInt64) {
        loads.made(kind, window: window, at: now)
        savedState.windows = loads.windows
    }

    /// Notes a patch that failed and dropped nothing, and returns the obstacle that it is from now
    /// on.
    private mutating func refused(_ attempt: Kexec.Attempt, given look: Look) -> PatchObstacle {
        guard let obstacle = PatchObstacle(lastingRefusal: attempt.errno) else {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            return .failedBefore
        }
        savedState.refusal = attempt.errno
        return obstacle
    }

    /// Looks at the image after a patch, and reloads at once if it is not sound.
    ///
    /// Only the digest takes long. It is owed from now on, and the look after it judges it.
    private mutating func verified(
        _ refresh: Refresh, of before: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        savedState.owesDigest = true
        let look = try look(.cheap, now: now)
        // If somebody unloads it at this moment, that is what they want.
        if look.observation.support.isLoaded == false {
            return Step(look: look, refreshes: [refresh])
        }
        // An image that cannot be read is not verified.
        let isSound = look.isSound(after: before)
        if refresh.method == .replay || !isSound {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
        }
        guard !isSound else { return Step(look: look, refreshes: [refresh]) }
        var step = try reload(given: look, insteadOf: .failedBefore, now: now)
        step.refreshes.insert(refresh, at: 0)
        return step
    }

    /// Makes a load that may lose the image, and saves beforehand that one is expected.
    private mutating func loading<Failure: Error>(
        _ kind: Loads.Kind, _ load: () throws(Failure) -> Kexec.Attempt
    ) throws(Failure) -> Kexec.Attempt {
        // What was read of the old image says nothing of the next.
        (owed, computed) = (nil, nil)
        var ahead = savedState
        ahead.expectsImage = true
        beforeLoad(kind, ahead)
        defer { afterLoad() }
        // The same as a kexec lock that is held: nothing is dropped, and the caller tries again.
        guard !mayBeCrashing() else { return Kexec.Attempt(errno: EBUSY, microseconds: 0) }
        return try load()
    }

    /// Looks at a machine whose image a load of ours has just lost: there is nothing to wait for.
    private mutating func lostLook(_ now: () -> UInt64) throws(SystemError) -> Look {
        sawImage = false
        return try look(.cheap, now: now)
    }
}

// MARK: - Reloading

extension Engine {
    /// Returns what would prevent a patch and a reload now, without attempting either.
    package func ways(given look: Look) -> Ways {
        let configuration = configuration()
        let (patch, reload) = (
            patchPlan(given: look), preparedReload(of: configuration, given: look)
        )
        return Ways(
            patch: patch.obstacle, reload: reload.obstacle, configuration: try? configuration.get(),
            didNotHelp: look.verdict == savedState.uncured,
            replacement: (try? reload.get())?.replacement)
    }

    /// Forgets which files the kernel has refused: somebody may have signed them, or changed a policy.
    package mutating func forgetRefusals() { savedState.trials.forgetRefusals() }

    /// The systemd unit of the distribution's kdump service; `nil` if none is installed.
    package var kdumpService: String? {
        Configuration.family(below: root, on: architecture)?.service
    }

    /// What a reload would load, as configured at this moment.
    private func configuration() -> Result<Configuration, Obstacle> {
        Result { () throws(Obstacle) in
            try Configuration.find(named: source, below: root, on: architecture)
        }
    }

    private func preparedReload(
        of found: Result<Configuration, Obstacle>, given look: Look
    ) -> Result<Reload, Obstacle> {
        Result { () throws(Obstacle) in
            if look.keepsTheLastLoad { throw .lastLoad }
            return try Reload.prepare(
                found,
                remembering: Reload.Memory(
                    commandLine: savedState.commandLine, trials: savedState.trials,
                    release: { build in release(of: build, seenBy: look) },
                    loader: loader),
                insteadOf: look.observation)
        }
    }

    /// What would make the image of a reload, as far as it has turned out.
    private var loader: Reload.Loader {
        guard savedState.loadsNoFiles else { return .kernel }
        guard architecture.wholeImage == nil else { return .own }
        return hasProgram ? .program : .missing
    }

    /// Whether kexec(8) is installed.
    private var hasProgram: Bool {
        ["/usr/sbin/kexec", "/sbin/kexec"].contains(where: root.isFile)
    }

    /// The release of the kernel that is loaded, as it stands in reserved memory.
    private func release(of build: KernelBuild, seenBy look: Look) -> String? {
        let parts = look.observation.image?.parts ?? []
        guard let kernel = parts.first(where: { $0.role == .kernel })?.range,
            build.unpacker < kernel.byteCount
        else { return nil }
        let count = min(KernelBuild.reach, kernel.byteCount - build.unpacker)
        let code = try? Kcore.observe(below: root) { kcore throws(Unknowable) in
            try kcore.bytes(Int(count), at: kernel.start + build.unpacker)
        }
        return code.flatMap(KernelBuild.release)
    }

    /// Loads all of the image from files, and looks again.
    private mutating func reload(
        given look: Look, insteadOf patch: PatchObstacle? = nil, now: () -> UInt64
    ) throws(SystemError) -> Step {
        // What a patch was to prepare for is not worth more than a patch.
        guard !look.isAhead else { return Step(look: try self.look(.cheap, now: now)) }
        switch preparedReload(of: configuration(), given: look) {
        case .success(let reload):
            return try run(reload, given: look, insteadOf: patch, now: now)
        case .failure(let obstacle):
            return try restored(because: "\(obstacle)", now: now)
                ?? Step(look: look, unpatched: patch, end: .blocked(obstacle))
        }
    }

    private mutating func run(
        _ reload: Reload, given look: Look, insteadOf patch: PatchObstacle? = nil,
        now: () -> UInt64
    ) throws(SystemError) -> Step {
        do throws(Obstacle) {
            // Files below another root belong to another machine; the system call would act on this
            // one.
            guard root.prefix.isEmpty else { throw .anotherMachine }
            try reload.hold(onProgress: beat)
        } catch {
            return try restored(because: "\(error)", now: now)
                ?? Step(look: look, unpatched: patch, end: .blocked(error))
        }
        if reload.needsTrial, let end = tryOut(reload) {
            return Step(look: look, unpatched: patch, end: end)
        }
        // The trial may have shown that the kernel loads no files.
        guard reload.loader == loader else {
            return try self.reload(given: look, insteadOf: patch, now: now)
        }
        // Both files may have come from a cold disk, which takes long enough for others to act.
        let latest = try self.look(.cheap, now: now)
        let rival = Rival(before: look, now: latest)
        guard rival == nil, !look.isCured(by: latest) else {
            return Step(look: latest, unpatched: patch, rival: rival)
        }
        var step = try load(reload, given: latest, now: now)
        step.unpatched = patch
        return step
    }

    /// Loads the files of a reload, which are held, for the machine that was just seen.
    private mutating func load(
        _ reload: Reload, given latest: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        if latest.observation.support.isLoaded == true { savedState.books = books(of: latest) }
        var reload = reload
        var whole: WholeLoad?
        do throws(Obstacle) {
            whole = try reload.make(for: latest.observation, below: root)
        } catch {
            guard hasProgram else {
                return try restored(because: "\(error)", now: now)
                    ?? Step(look: latest, end: .blocked(error))
            }
            reload.loader = .program
        }
        let program = loadByProgram
        let attempt = loading(.reload) { reload.run(whole, by: program) }
        if attempt.errno == ENOSYS, reload.loader == .kernel {
            savedState.loadsNoFiles = true
            return try self.reload(given: latest, now: now)
        }
        return try conclude(attempt, of: reload, given: latest, now: now)
    }

    /// Tries the files of a reload in advance, if the next hotplug will need one; for a moment in which
    /// nothing else is to be done.
    ///
    /// Then it is known whether the kernel takes them, and the reload is not held up.
    package mutating func tryAhead(given look: Look) {
        guard look.verdict == .current, look.observation.keepsUp != true, root.prefix.isEmpty,
            patchPlan(given: look).obstacle != nil,
            case .success(let reload) = preparedReload(of: configuration(), given: look),
            reload.needsTrial
        else { return }
        let attempt = lockAttempt()
        if case .held = attempt { return }
        // What is not tried now, or without an answer, is tried at another time.
        guard (try? reload.hold(onProgress: beat)) != nil else { return }
        _ = withExtendedLifetime(attempt) { tryOut(reload) }
    }

    /// Tries whether the kernel takes the files of a reload; returns how the attempt ends where not.
    private mutating func tryOut(_ reload: Reload) -> End? {
        // It may take as long as a load.
        beforeLoad(.reload, savedState)
        defer { afterLoad() }
        let refusal = reload.rehearse()
        // That says nothing of the files.
        if refusal == ENOSYS { savedState.loadsNoFiles = true }
        guard !savedState.loadsNoFiles else { return nil }
        savedState.trials.note(reload.subject, refusal)
        switch refusal {
        case 0: return nil
        // Whoever has the lock may be about to load what is wanted here.
        case EBUSY: return .busy
        default: return .blocked(reload.obstacle(after: refusal))
        }
    }

    /// Notes how a reload ended, and looks again.
    private mutating func conclude(
        _ attempt: Kexec.Attempt, of reload: Reload, given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        if attempt.errno == EBUSY { return Step(look: look, end: .busy) }
        if attempt.errno == 0 {
            savedState.trials.note(reload.subject, 0)
            // The new image describes the machine at some moment after `look`. If the machine has
            // changed since, the next verdict is stale and the image is loaded again. What kexec(8) has
            // made is to be seen: it may have left memory out, or have made no header that can be read.
            savedState.described = reload.loader == .program ? nil : look.observation.live.value
            savedState.expectsImage = false
            savedState.unpatchable = nil
            count(.reload, attempt.microseconds, now())
            let refresh = Refresh(method: .reload, window: attempt.microseconds)
            return Step(
                look: try self.look(.thorough, now: now), refreshes: [refresh],
                replacement: reload.replacement)
        }
        let call = reload.loader == .own ? "kexec_load" : "kexec_file_load"
        let error = attempt.cause ?? SystemError(call, errno: attempt.errno)
        let stillLoaded = try KernelSupport.isLoaded(below: root) == true
        if stillLoaded { return Step(look: look, end: .refused(error)) }
        savedState.trials.note(reload.subject, attempt.errno)
        savedState.forgetImage()
        savedState.expectsImage = true
        // Not `??`: it would widen the type of the error.
        if let step = try restored(because: "\(error)", now: now) { return step }
        return Step(look: try lostLook(now), end: .unprotected(error))
    }
}

// MARK: - Replaying

extension Engine {
    /// Notes what it takes to load the image again that was seen; `nil` where that cannot be done.
    private func books(of look: Look) -> Replay.Books? {
        guard let image = look.observation.image, let layout = savedState.layout else { return nil }
        let flags = Patch.flags(for: image.kimage, laidOut: layout)
        return try? Kcore.observe(below: root) { kcore throws(Unknowable) in
            try Replay.Books(of: image, flags: flags, in: kcore)
        }
    }

    /// Loads the image again that a load of ours has lost, from what is left in reserved memory; `nil`
    /// where none is lost, or nothing can be loaded.
    ///
    /// It is as wrong as it was before, and far better than none.
    private mutating func restored(
        because reason: String, now: () -> UInt64
    ) throws(SystemError) -> Step? {
        guard let books = savedState.books, savedState.expectsImage,
            try KernelSupport.isLoaded(below: root) == false, root.prefix.isEmpty
        else { return nil }
        let (root, architecture) = (root, architecture)
        let begin = now()
        let attempt = try? loading(.reload) { () throws(Unknowable) in
            try Replay.run(books, below: root, on: architecture)
        }
        guard attempt?.errno == 0 else { return nil }
        savedState.expectsImage = false
        let refresh = Refresh(method: .replay, window: now() - begin)
        return Step(
            look: try look(.thorough, now: now), refreshes: [refresh], end: .restored(reason))
    }
}

extension Result {
    /// What prevents it; `nil` if nothing does.
    fileprivate var obstacle: Failure? {
        if case .failure(let obstacle) = self { obstacle } else { nil }
    }
}
