// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A patch that is ready to be loaded: its plan, and every byte of it in memory that stays.
///
/// Preparing reads, and drops nothing; `run()` is the one moment of danger. `replay` is the way back
/// from a load that failed after the kernel had let go of the image, which is still lying there.
struct Patch {
    private let plan: PatchPlan
    /// The edits that are segments of their own.
    private let edited: [Kexec.Segment]
    /// What else is listed.
    private let copies: [Kexec.Segment]
    private let flags: [UInt]
    private let root: SystemRoot

    /// KEXEC_CRASH_HOTPLUG_SUPPORT of include/uapi/linux/kexec.h, since 6.10.
    private static let keepUp: UInt = 0x8
    /// KEXEC_UPDATE_ELFCOREHDR, the same before that, since 6.6.
    private static let keepUpBefore: UInt = 0x4

    /// Reads what a plan needs of the image that is loaded; returns `nil` where that is another one
    /// by now.
    ///
    /// - Throws: Why it cannot be read.
    static func prepare(
        _ plan: PatchPlan, below root: SystemRoot, laidOut layout: KernelLayout,
        within reserved: AddressRanges
    ) throws(PatchObstacle) -> Patch? {
        do throws(Unknowable) {
            return try Tries.settled { () throws(Unknowable) in
                try Kcore.observe(below: root) { kcore throws(Unknowable) in
                    guard
                        let copies = try copies(plan, in: kcore, laidOut: layout, within: reserved)
                    else { return nil }
                    let isNamedSo = layout.image.hotplugSupport != nil
                    return try Patch(
                        plan, copies: copies, below: root,
                        flags: isNamedSo ? [keepUp, keepUpBefore] : [keepUpBefore, keepUp])
                }
            }
        } catch {
            throw .imageNotUnderstood(because: error.reason)
        }
    }

    /// Reads what is listed with the bytes that are there, and makes the edits in it; returns `nil`
    /// where another image is loaded by now.
    private static func copies(
        _ plan: PatchPlan, in kcore: Kcore, laidOut layout: KernelLayout,
        within reserved: AddressRanges
    ) throws(Unknowable) -> [Kexec.Segment]? {
        let copies = try plan.copies.map { range throws(Unknowable) in
            try copy(of: range, in: kcore)
        }
        try rewrite(copies, by: plan)
        guard try Kimage.loaded(in: kcore, laidOut: layout, within: reserved) != nil else {
            // A kernel that updates the image hides it for as long as it writes.
            throw Unknowable("another program has just unloaded it", mayPass: true)
        }
        let isSame = try plan.image.identity.isLoaded(
            in: kcore, laidOut: layout, within: reserved)
        return isSame ? copies : nil
    }

    private init(
        _ plan: PatchPlan, copies: [Kexec.Segment], below root: SystemRoot, flags: [UInt]
    ) throws(Unknowable) {
        self.plan = plan
        self.copies = copies
        self.root = root
        edited = try plan.edits.filter(\.isSegment).map { edit throws(Unknowable) in
            guard let bytes = PinnedBytes(edit.bytes) else { throw Patch.noMemory }
            return Kexec.Segment(bytes: bytes, range: edit.range)
        }
        // A kernel that did not keep the image up is not made to: it would write its own kind of
        // header, without what kexec-tools' has of the first MiB.
        self.flags = plan.image.kimage.kernelKeepsUp == true ? flags : [0]
    }

    private static let noMemory = Unknowable("there is not enough memory for a copy of it")

    private static func copy(
        of range: AddressRange, in kcore: Kcore
    ) throws(Unknowable) -> Kexec.Segment {
        guard let bytes = PinnedBytes(count: Int(range.byteCount)) else { throw noMemory }
        var place = 0
        try kcore.forEachPart(of: range) { part in
            bytes.replace(at: place, with: part)
            place += part.count
        }
        return Kexec.Segment(bytes: bytes, range: range)
    }

    /// Makes the edits that are no segments of their own in copies of the pages around them.
    private static func rewrite(
        _ copies: [Kexec.Segment], by plan: PatchPlan
    ) throws(Unknowable) {
        guard !plan.isDigestUnfound else { throw Unknowable("its digest has not been found") }
        for edit in plan.edits where !edit.isSegment {
            let copy = copies.first { $0.range.holds(edit.range.start) }
            guard let copy, edit.range.end <= copy.range.end else {
                throw Unknowable("its digest is outside the copied part")
            }
            copy.bytes.replace(at: Int(edit.range.start - copy.range.start), with: edit.bytes)
        }
    }

    /// All that is listed.
    var segments: [Kexec.Segment] { edited + copies }

    /// Loads the patch over the image.
    ///
    /// A flag that the kernel does not know is refused before anything is dropped (kernel/kexec.c,
    /// `kexec_load_check`), so it is tried and not tabulated by version. The field of `struct kimage`
    /// that came with the one or the other says which to try first: a try counts as a load where
    /// `kernel.kexec_load_limit_panic` limits them.
    func run() -> Kexec.Attempt { load(segments, where: { isLoaded }) }

    /// Loads the whole image again, with the edits, from what lies in reserved memory.
    ///
    /// - Throws: Why it cannot be read.
    func replay() throws(PatchObstacle) -> Kexec.Attempt {
        let ranges = plan.rest
        guard ranges.count + edited.count <= SegmentPlan.mostSegments else {
            throw .imageNotUnderstood(because: "it needs too many segments")
        }
        let whole: [Kexec.Segment]
        do throws(Unknowable) {
            whole = try Tries.settled { () throws(Unknowable) in
                try Kcore.observe(below: root) { kcore throws(Unknowable) in
                    try ranges.map { range throws(Unknowable) in
                        try Patch.copy(of: range, in: kcore)
                    }
                }
            }
        } catch {
            throw .imageNotUnderstood(because: error.reason)
        }
        for copy in copies {
            let bytes = copy.bytes.contents
            for segment in whole where segment.range.holds(copy.range.start) {
                let place = Int(copy.range.start - segment.range.start)
                segment.bytes.replace(at: place, with: bytes)
            }
        }
        return load(edited + whole, where: { true })
    }

    /// Loads segments with the first of the flags that the kernel knows, as long as another try
    /// `mayHelp`.
    private func load(
        _ segments: [Kexec.Segment], where mayHelp: () -> Bool
    ) -> Kexec.Attempt {
        var flags = flags[...]
        while true {
            let attempt = Kexec.loadSegments(
                segments, entry: plan.image.kimage.entry, flags: flags.removeFirst(),
                on: plan.architecture)
            guard attempt.errno == EINVAL, !flags.isEmpty, mayHelp() else { return attempt }
        }
    }

    /// Whether a crash kernel is loaded; not where the kernel does not say.
    private var isLoaded: Bool { (try? KernelSupport(of: root))?.isLoaded == true }
}
