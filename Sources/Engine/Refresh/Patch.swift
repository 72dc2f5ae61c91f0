// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A patch that is ready to be loaded: its plan, with every byte in locked memory.
///
/// Preparing one only reads; `run()` is the moment of danger. `replay()` is the way back if the
/// load failed after the kernel had dropped the image: its bytes are still in reserved memory.
struct Patch {
    private let plan: PatchPlan
    /// The edits that are segments of their own.
    private let edited: [Kexec.Segment]
    /// What else is listed.
    private let copies: [Kexec.Segment]
    private let flags: [UInt]
    private let root: SystemRoot

    /// KEXEC_CRASH_HOTPLUG_SUPPORT of include/uapi/linux/kexec.h, since 6.10.
    private static let hotplug: UInt = 0x8
    /// KEXEC_UPDATE_ELFCOREHDR, the same before that, since 6.6.
    private static let formerHotplug: UInt = 0x4

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
                    try checkLanding(plan, in: kcore)
                    let edited = try edited(plan, in: kcore)
                    guard
                        let copies = try copies(plan, in: kcore, laidOut: layout, within: reserved)
                    else { return nil }
                    return Patch(
                        plan: plan, edited: edited, copies: copies,
                        flags: flags(for: plan.image.kimage, laidOut: layout), root: root)
                }
            }
        } catch {
            throw .imageNotUnderstood(because: error.reason)
        }
    }

    /// Reads what is listed as it is, and makes the edits in it; returns `nil` if another image has been
    /// loaded meanwhile.
    private static func copies(
        _ plan: PatchPlan, in kcore: Kcore, laidOut layout: KernelLayout,
        within reserved: AddressRanges
    ) throws(Unknowable) -> [Kexec.Segment]? {
        let copies = try plan.copies.map { range throws(Unknowable) in
            try Kexec.Segment(copying: range, in: kcore)
        }
        try rewrite(copies, by: plan)
        guard try Kimage.loaded(in: kcore, laidOut: layout, within: reserved) != nil else {
            // A kernel that updates the image hides it while it writes.
            throw Unknowable("another program has just unloaded it", mayPass: true)
        }
        let isSame = try plan.image.identity.isLoaded(
            in: kcore, laidOut: layout, within: reserved)
        return isSame ? copies : nil
    }

    /// Makes the edits that are segments of their own.
    private static func edited(
        _ plan: PatchPlan, in kcore: Kcore
    ) throws(Unknowable) -> [Kexec.Segment] {
        try plan.edits.filter(\.isSegment).map { edit throws(Unknowable) in
            if edit.isMove, let part = edit.replaced {
                let bytes = try Kexec.Segment(copying: part, in: kcore).bytes
                return Kexec.Segment(bytes: bytes, range: edit.range)
            }
            guard let bytes = PinnedBytes(edit.bytes) else { throw Kexec.Segment.noMemory }
            return Kexec.Segment(bytes: bytes, range: edit.range)
        }
    }

    /// Makes sure that the page which the kernel will write is one that nothing uses: it has what such
    /// pages have on this architecture, or an earlier copy of vmcoreinfo (kernel/vmcore_info.c,
    /// `crash_save_vmcoreinfo_init`).
    private static func checkLanding(_ plan: PatchPlan, in kcore: Kcore) throws(Unknowable) {
        guard let landing = plan.landing else { return }
        let bytes = try kcore.bytes(Int(landing.byteCount), at: landing.start)
        let isUnused = plan.architecture.patching?.isUnused(bytes) ?? false
        guard bytes.starts(with: "OSRELEASE=".utf8) || isUnused else {
            throw Unknowable(
                "the page of it at \(hexadecimal(landing.start)), into which the kernel would write,"
                    + " is in use")
        }
    }

    /// The flags that an image is loaded with, the likelier ones first.
    ///
    /// A kernel that did not update the image before must not start to: it would write its own kind of
    /// header, without what kexec-tools' says about the first MiB.
    static func flags(for kimage: Kimage, laidOut layout: KernelLayout) -> [UInt] {
        guard kimage.kernelKeepsUp == true else { return [0] }
        let hasNewField = layout.image?.hotplugSupport != nil
        return hasNewField ? [hotplug, formerHotplug] : [formerHotplug, hotplug]
    }

    /// Makes those edits that are not segments of their own, in copies of the pages around them.
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

    /// Everything that is listed.
    var segments: [Kexec.Segment] { edited + copies }

    /// Loads the patch over the image.
    ///
    /// The kernel refuses an unknown flag before it drops anything (kernel/kexec.c,
    /// `kexec_load_check`), so flags are tried and not tabulated by version. Each came with a field
    /// of `struct kimage`, which says which to try first: every try counts against
    /// `kernel.kexec_load_limit_panic`.
    func run() -> Kexec.Attempt {
        Kexec.loadSegments(
            segments, entry: plan.entry, flags: flags, on: plan.architecture,
            where: { isLoaded })
    }

    /// Loads the whole image again, with the edits, from its own bytes in reserved memory.
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
                        try Kexec.Segment(copying: range, in: kcore)
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
        return Kexec.loadSegments(
            edited + whole, entry: plan.entry, flags: flags, on: plan.architecture)
    }

    /// Whether a crash kernel is loaded; false if the kernel does not say.
    private var isLoaded: Bool { (try? KernelSupport.isLoaded(below: root)) == true }
}

extension Kexec.Segment {
    /// Why there is none.
    static let noMemory = Unknowable("there is not enough memory for a copy of it")

    /// Copies what lies at a range of physical addresses.
    ///
    /// - Throws: Why it cannot be read, or that there is no memory.
    init(copying range: AddressRange, in kcore: Kcore) throws(Unknowable) {
        guard let bytes = PinnedBytes(count: Int(range.byteCount)) else {
            throw Kexec.Segment.noMemory
        }
        var place = 0
        try kcore.forEachPart(of: range) { part in
            bytes.replace(at: place, with: part)
            place += part.count
        }
        self.init(bytes: bytes, range: range)
    }
}
