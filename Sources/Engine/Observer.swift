// SPDX-License-Identifier: Apache-2.0

/// Looks at the machine and at reserved memory, and says what is there and what that means.
///
/// It remembers what only a series of looks can tell: since when the image has been stale, which memory
/// is leaving, what the kernel has answered. What must outlive the program it keeps in
/// ``Engine/SavedState``. It loads nothing, and does not decide whether or how anything is loaded.
struct Observer {
    /// How long a kernel that cannot be looked at may say no before it is believed, in microseconds.
    ///
    /// It says no as long as anybody holds the kexec lock, and a load takes seconds.
    static let doubt: UInt64 = 1_000_000

    private let root: SystemRoot
    private let architecture: Architecture
    private let grace: UInt64
    /// Which memory is leaving.
    private var passage = Passage()
    /// What the machine looked like when the image last described just that; `nil` if the last look found
    /// a difference.
    private var matched: LiveView.Fingerprint?
    /// Since when every look has found the image stale, in microseconds of the caller's clock.
    private var staleSince: UInt64?
    /// What the kernel has said since ``forgetAnswer()``.
    private var answer = Answer.notAsked
    /// Since when the kernel has said no of the image that is loaded: the first no may only mean
    /// that the lock was held.
    private var noSince: UInt64?
    /// Whether the last look saw an image; the first look expects one.
    private var sawImage = true
    /// What is known of the digests of images.
    var digests: Digests

    /// What the kernel says when it is asked whether it updates the image itself.
    private enum Answer: Equatable {
        case notAsked
        /// Yes or no; `nil` if it has no such feature.
        case said(Bool?)
    }

    /// Creates an observer of the machine below `root`, whose kernel may leave something out for `grace`
    /// microseconds if it updates the image itself.
    init(root: SystemRoot, architecture: Architecture, grace: UInt64) {
        self.root = root
        self.architecture = architecture
        self.grace = grace
        digests = Digests(below: root)
    }

    /// Looks at the machine and at reserved memory and judges what it sees; returns when it began, too.
    ///
    /// `now` returns the time in microseconds of a monotonic clock; `beat` is called after each piece of
    /// a digest. If something moves meanwhile, or an image may only be hidden for a moment, it looks
    /// again.
    /// - Throws: A `SystemError` if the kernel's own files cannot be read.
    mutating func look(
        _ depth: Engine.Depth, _ saved: inout Engine.SavedState, beat: () -> Void,
        now: () -> UInt64
    ) throws(SystemError) -> (Engine.Look, begun: UInt64) {
        var tries = Tries()
        while true {
            let begin = now()
            let (seen, cost, isMoving) = try observe(depth, &saved, &tries, beat: beat, at: begin)
            let look = Engine.Look(
                observation: seen, verdict: .judge(seen.facts), byteCount: cost,
                microseconds: now() - begin)
            let mayFindMore = isMoving || look.mayPass(sawImage: sawImage)
            guard mayFindMore, tries.again() else {
                sawImage = !look.isWithoutImage
                return (look, begin)
            }
        }
    }

    /// Makes the next look ask the kernel anew whether it updates the image itself.
    mutating func forgetAnswer() { answer = .notAsked }

    /// Notes that a load of ours has lost the image: no look needs to wait for it.
    mutating func noteLoss() { sawImage = false }

    /// Whether the kernel's no is too recent to be believed.
    ///
    /// It also says no while it updates the image itself, once for each memory block.
    mutating func doubtsAnswer(_ now: UInt64) -> Bool {
        guard answer == .said(false) else { return false }
        let since = noSince ?? now
        noSince = since
        return now - since < Observer.doubt
    }

    /// Whether nothing has changed since a look found nothing to do.
    mutating func seesNothingNew() -> Bool {
        guard let matched, let now = LiveView.fingerprint(below: root)?.following(matched)
        else { return false }
        if now.awaited == 0 { passage.settle() }
        self.matched = now
        return true
    }

    /// Looks once, and returns how many bytes of the kernel's memory were read, and whether anything
    /// moved meanwhile.
    private mutating func observe(
        _ depth: Engine.Depth, _ saved: inout Engine.SavedState, _ tries: inout Tries,
        beat: () -> Void, at begin: UInt64
    ) throws(SystemError) -> (Observation, byteCount: UInt64, isMoving: Bool) {
        let support = try KernelSupport(of: root)
        let view = LiveView(of: root, on: architecture) { contiguousReserve(&saved) }
        let report = audit(depth, view, support, &saved, &tries, beat: beat)
        var seen = Observation(
            architecture: architecture, live: view.system, notes: view.notes,
            isUnsettled: view.isUnsettled, reserved: view.reserved,
            support: support, finding: report.finding, isEncrypted: report.isEncrypted,
            coverage: report.coverage(of: view.system),
            hotplugMemory: try hotplugMemory(for: report.finding.value?.image),
            remembered: saved.remembered(as: report.list),
            expectsImage: saved.expectsImage, grace: grace)
        seen.keepsUp = try keepsUp(seen)
        seen.ahead = ahead(of: view, report, seen)
        let isExact = seen.coverage.value?.isExact == true && seen.ahead == nil
        matched = isExact ? view.fingerprint : nil
        if let text = seen.image?.commandLine.value {
            saved.commandLine = ResidentCommandLine.administrators(text)
        }
        seen.staleFor = staleness(seen.coverage, at: begin)
        return (seen, report.byteCount, view.mayPass || report.isMoving)
    }

    /// How long every look has found the image stale, in microseconds.
    private mutating func staleness(_ coverage: Fact<Coverage>, at time: UInt64) -> UInt64 {
        guard case .known(let coverage) = coverage, !coverage.isExact else {
            staleSince = nil
            return 0
        }
        let since = staleSince ?? time
        staleSince = since
        return time - since
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
        of view: LiveView, _ report: Audit.Report, _ seen: Observation
    ) -> Ahead? {
        guard case .known(let live) = view.system else { return nil }
        let leaving = passage.leaving(live.ram, absent: view.absent)
        guard case .known(let described) = report.described, seen.coverage.value?.isExact == true
        else { return nil }
        return Ahead(
            live, leaving: leaving, described: described, kernelUpdates: seen.keepsUp == true)
    }

    /// Asks the kernel's memory for the ranges of `crashkernel=…,cma`, once a boot.
    private func contiguousReserve(_ saved: inout Engine.SavedState) -> Fact<AddressRanges> {
        if let known = saved.contiguousReserve { return .known(known) }
        let fact = Fact { () throws(Unknowable) in try ContiguousReserve.ranges(below: root) }
        saved.contiguousReserve = fact.value
        return fact
    }

    /// Looks into reserved memory, if something is loaded.
    private mutating func audit(
        _ depth: Engine.Depth, _ view: LiveView, _ support: KernelSupport,
        _ saved: inout Engine.SavedState, _ tries: inout Tries, beat: () -> Void
    ) -> Audit.Report {
        guard support.isLoaded == true else { return .nothing }
        switch (view.reserved, view.system) {
        case (.known(let reserved), .known(let live)):
            var audit = Audit(
                below: root, layout: saved.layout, digest: saved.digest,
                architecture: architecture)
            var report = audit.run(reserved: reserved, live: live, notes: view.notes)
            saved.layout = audit.layout
            report.list = audit.kimage?.fingerprint
            digests.complete(
                &report, depth, within: AddressRanges(reserved), &saved, &tries, beat: beat)
            return report
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            return .unknown(because: reason)
        }
    }

    /// Whether the kernel updates the image itself; `nil` if it has no such feature.
    ///
    /// `struct kimage` says so, if it can be read. If not, the kernel is asked, but only once until
    /// ``forgetAnswer()``, because that takes the kexec lock.
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

extension Audit.Report {
    /// How the real machine differs from the one that the image describes.
    fileprivate func coverage(of live: Fact<LiveSystem>) -> Fact<Coverage> {
        switch (described, live) {
        case (.known(let described), .known(let live)):
            .known(
                Coverage(
                    live: live, described: described, offline: offline, unbootable: unbootable,
                    flaw: finding.value?.image?.flaw))
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            .unknown(because: reason)
        }
    }
}

extension Engine.SavedState {
    /// The machine for which this program loaded what is loaded; `nil` if another program has loaded
    /// since, by the kernel's list, where that can be read.
    fileprivate mutating func remembered(as list: String?) -> LiveSystem? {
        guard let list, described != nil else { return described }
        if describedImage == nil { describedImage = list }
        return describedImage == list ? described : nil
    }
}
