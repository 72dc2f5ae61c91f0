// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A patch that is ready to be loaded: its plan, and every byte of it in memory that stays.
///
/// Preparing reads, and drops nothing; `run()` is the one moment of danger. `replay` is the way back
/// from a load that failed after the kernel had let go of the image, which is still lying there.
struct Patch {
    private let plan: PatchPlan
    /// The new core header.
    let header: Kexec.Segment
    /// What else is listed.
    let copies: [Kexec.Segment]
    private let flags: [UInt]
    private let root: SystemRoot

    /// KEXEC_CRASH_HOTPLUG_SUPPORT of include/uapi/linux/kexec.h, since 6.10.
    private static let keepUp: UInt = 0x8
    /// KEXEC_UPDATE_ELFCOREHDR, the same on x86 before that, since 6.6.
    private static let keepUpBefore: UInt = 0x4

    /// Reads what a plan needs of the image that is loaded.
    ///
    /// - Throws: Why it cannot be read, or that another image is loaded by now.
    static func prepare(
        _ plan: PatchPlan, below root: SystemRoot, laidOut layout: KernelLayout,
        within reserved: AddressRanges
    ) throws(PatchObstacle) -> Patch {
        do throws(Unknowable) {
            return try Kcore.observe(below: root) { kcore throws(Unknowable) in
                let copies = try plan.segments.copies.map { range throws(Unknowable) in
                    try copy(of: range, in: kcore)
                }
                if let digest = plan.digest { try rewrite(digest, in: copies) }
                let kimage = try Kimage.loaded(in: kcore, laidOut: layout, within: reserved)
                guard kimage == plan.image.kimage else {
                    throw Unknowable("another program has just loaded another one")
                }
                let isNamedSo = layout.image.hotplugSupport != nil
                return try Patch(
                    plan, copies: copies, below: root,
                    flags: isNamedSo ? [keepUp, keepUpBefore] : [keepUpBefore, keepUp])
            }
        } catch {
            throw .imageNotUnderstood(because: error.reason)
        }
    }

    private init(
        _ plan: PatchPlan, copies: [Kexec.Segment], below root: SystemRoot, flags: [UInt]
    ) throws(Unknowable) {
        guard let bytes = PinnedBytes(plan.header.encoded()) else { throw Patch.noMemory }
        self.plan = plan
        self.copies = copies
        self.root = root
        header = Kexec.Segment(bytes: bytes, range: plan.segments.header)
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
        _ = try kcore.forEachPart(of: range) { part throws(Unknowable) in
            bytes.replace(at: place, with: part)
            place += part.count
            return true
        }
        return Kexec.Segment(bytes: bytes, range: range)
    }

    /// Writes a new table, and the digest over what it lists, into copies of purgatory's pages.
    private static func rewrite(
        _ plan: PurgatoryDigestPlan, in copies: [Kexec.Segment]
    ) throws(Unknowable) {
        guard let found = plan.found else { throw Unknowable("its digest has not been found") }
        let changes = [(plan.table, plan.tableBytes), (found.place, found.withoutHeader)]
        for (address, bytes) in changes {
            let copy = copies.first { copy in
                copy.range.holds(address) && copy.range.holds(address + UInt64(bytes.count) - 1)
            }
            guard let copy else { throw Unknowable("its digest is outside the copied part") }
            copy.bytes.replace(at: Int(address - copy.range.start), with: bytes)
        }
    }

    /// Loads the patch over the image.
    ///
    /// A flag that the kernel does not know is refused before anything is dropped (kernel/kexec.c,
    /// `kexec_load_check`), so it is tried and not tabulated by version. The field of `struct kimage`
    /// that came with the one or the other says which to try first: a try counts as a load where
    /// `kernel.kexec_load_limit_panic` limits them.
    func run() -> Kexec.Attempt {
        var attempt = load([header] + copies, flags: flags[0])
        for flag in flags.dropFirst() where attempt.errno == EINVAL && isLoaded {
            attempt = load([header] + copies, flags: flag)
        }
        return attempt
    }

    /// Loads the whole image again, with the new core header, from what lies in reserved memory.
    ///
    /// - Throws: Why it cannot be read.
    func replay() throws(PatchObstacle) -> Kexec.Attempt {
        let ranges = plan.rest
        guard ranges.count < SegmentPlan.mostSegments else {
            throw .imageNotUnderstood(because: "it needs too many segments")
        }
        let segments: [Kexec.Segment]
        do throws(Unknowable) {
            segments = try Kcore.observe(below: root) { kcore throws(Unknowable) in
                try ranges.map { range throws(Unknowable) in try Patch.copy(of: range, in: kcore) }
            }
        } catch {
            throw .imageNotUnderstood(because: error.reason)
        }
        for copy in copies {
            let bytes = copy.bytes.contents
            for segment in segments where segment.range.holds(copy.range.start) {
                let place = Int(copy.range.start - segment.range.start)
                segment.bytes.replace(at: place, with: bytes)
            }
        }
        var attempt = load([header] + segments, flags: flags[0])
        for flag in flags.dropFirst() where attempt.errno == EINVAL {
            attempt = load([header] + segments, flags: flag)
        }
        return attempt
    }

    private func load(_ segments: [Kexec.Segment], flags: UInt) -> Kexec.Attempt {
        Kexec.loadSegments(segments, entry: plan.image.kimage.entry, flags: flags)
    }

    /// Whether a crash kernel is loaded; not where the kernel does not say.
    private var isLoaded: Bool { (try? KernelSupport(of: root))?.isLoaded == true }
}
