// SPDX-License-Identifier: Apache-2.0

/// The digests of the images that were seen: which one is still owed, which one the loop has computed,
/// and which did not match.
///
/// A whole digest takes seconds on a slow machine, so it is computed as work of the caller's loop, and
/// the next look takes the result over. What must outlive the program is kept in
/// ``Engine/SavedState``. It decides neither whether an image is right nor when to look.
struct Digests {
    private let root: SystemRoot
    /// The digest that is owed; `nil` if none is, or if the image cannot be read.
    private var owed: OwedDigest?
    /// A digest that was computed as work of the loop, until a look has used it.
    private var computed: DigestWork?
    /// A digest that did not match, as long as its image is there: damage does not pass.
    private var damaged: DigestWork?

    /// Begins for the machine below `root`, of which no image was seen yet.
    init(below root: SystemRoot) {
        self.root = root
    }

    /// Whether there is a digest for ``step()`` to compute.
    var hasWork: Bool { owed != nil }

    /// Does the next step of the digest that is owed; after the last one the caller must look again.
    mutating func step() -> OwedDigest.Progress {
        guard let progress = owed?.step(below: root) else { return .nothing }
        switch progress {
        case .more, .later: break
        case .done: (computed, owed) = (owed?.work, nil)
        case .nothing: owed = nil
        }
        return progress
    }

    /// Drops the work before a load: what was read of the old image says nothing of the next.
    mutating func drop() { (owed, computed) = (nil, nil) }

    /// Puts into a report what is known of the digest of its image, and computes it if the look is
    /// thorough.
    ///
    /// `beat` is called after each piece.
    mutating func complete(
        _ report: inout Audit.Report, _ depth: Engine.Depth, within reserved: AddressRanges,
        _ saved: inout Engine.SavedState, _ tries: inout Tries, beat: () -> Void
    ) {
        switch depth {
        case .thorough: compute(for: &report, within: reserved, &saved, &tries, beat: beat)
        case .cheap: takeComputed(for: &report, &saved)
        }
        if let image = report.finding.value?.image { saved.remember(image) }
        owe(report.work, within: reserved, saved)
    }

    /// Computes the digest of an image that was found, or the rest of one that is owed.
    private mutating func compute(
        for report: inout Audit.Report, within reserved: AddressRanges,
        _ saved: inout Engine.SavedState, _ tries: inout Tries, beat: () -> Void
    ) {
        guard let layout = saved.layout, let fresh = report.work else { return }
        var work = fresh
        if let owed, owed.work.isAboutSameImage(as: fresh) { work = owed.work }
        owed = nil
        do throws(Unknowable) {
            try report.computeDigest(
                by: &work, below: root, laidOut: layout, within: reserved, tries: &tries,
                beat: beat)
            finish(work, &saved)
        } catch {
            report = .unknown(because: error.reason, isMoving: error.mayPass)
        }
    }

    /// Takes over what the loop has computed, or that the image is damaged, if it is still the same.
    private mutating func takeComputed(
        for report: inout Audit.Report, _ saved: inout Engine.SavedState
    ) {
        guard let fresh = report.work else { return }
        if let work = computed, work.isAboutSameImage(as: fresh) { finish(work, &saved) }
        guard let work = computed ?? damaged else { return }
        computed = nil
        if work.isAboutSameImage(as: fresh) { report.accept(work) } else { damaged = nil }
    }

    /// Notes that a digest is computed; only one that does not match matters for later looks.
    private mutating func finish(_ work: DigestWork, _ saved: inout Engine.SavedState) {
        saved.owesDigest = false
        damaged = work.outcome?.integrity == .mismatch ? work : nil
    }

    /// Begins the work on a digest that is owed, or goes on with it.
    private mutating func owe(
        _ work: DigestWork?, within reserved: AddressRanges, _ saved: Engine.SavedState
    ) {
        guard saved.owesDigest, let work, let layout = saved.layout else {
            owed = nil
            return
        }
        if let owed, owed.work.isAboutSameImage(as: work) { return }
        owed = OwedDigest(work, laidOut: layout, within: reserved)
    }
}

extension Engine.SavedState {
    /// Keeps what a look has found out about an image's digest.
    fileprivate mutating func remember(_ image: ResidentImage) {
        switch image.integrity {
        case .verified: digest = image.digestCoversEdits ? image.digest : nil
        case .none: owesDigest = false
        case .mismatch: break
        case .unknown:
            // The first patch will need it. Known in advance, it does not hold the patch up.
            if image.digestCoversEdits, image.digest?.found == nil { owesDigest = true }
        }
    }
}
