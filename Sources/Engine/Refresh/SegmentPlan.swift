// SPDX-License-Identifier: Apache-2.0

/// Which parts of an image a patch lists, so that the kernel's own pages hit none; pure.
///
/// For each load the kernel takes pages for itself (page tables, a copy of vmcoreinfo): the lowest
/// ones of reserved memory that no *listed* segment covers (kernel/kexec_core.c,
/// `kimage_alloc_crash_control_pages`). It may overwrite what is resident and not listed. So the
/// lowest hole must be large, and small parts below it must be listed with their present contents.
struct SegmentPlan: Equatable {
    /// What is listed in addition to the edits' own segments, by address.
    let copies: [AddressRange]

    /// KEXEC_SEGMENT_MAX of include/linux/kexec.h.
    static let mostSegments = 16
    /// The largest part that is listed only because it is below the hole, in bytes.
    ///
    /// Copying it adds to the unprotected time: under one millisecond for 1 MiB.
    private static let largestCopy: UInt64 = 1 << 20
    /// How many times as much as the kernel took at the last load the hole must hold.
    private static let margin: UInt64 = 4
    /// What the hole must hold in any case, in bytes.
    private static let least: UInt64 = 64 << 10

    /// Plans the list for `edits` of `image` in the reserved range `hole`.
    ///
    /// `controlBytes` is what the kernel may need in addition to a multiple of what it took last
    /// time.
    /// - Throws: Why there is no such list.
    init(
        for image: ResidentImage, edits: [Edit], in hole: AddressRange, pageSize: UInt64,
        controlBytes: UInt64
    ) throws(PatchObstacle) {
        let segments = AddressRanges(edits.filter(\.isSegment).map(\.range))
        let parts = SegmentPlan.untouched(of: image, by: edits)
        // They read as zeros, and a copy of zeros would be the end of them.
        let keys = image.parts.first { $0.role == .targetKeys }?.range
        let needed = SegmentPlan.needed(of: image, in: hole) + controlBytes
        var copies = AddressRanges(
            edits.filter { !$0.isSegment }.map { $0.range.inWhole(pagesOf: pageSize) })
        while true {
            let listed = copies.union(segments)
            let lowest = AddressRanges(parts).subtracting(listed).ranges.first?.start ?? hole.end
            let below = AddressRanges([AddressRange(start: hole.start, end: lowest)])
            let free = below.subtracting(listed).ranges.map(\.byteCount).max() ?? 0
            if free >= needed { break }
            guard let part = parts.first(where: { $0.holds(lowest) }),
                part != keys, part.byteCount <= SegmentPlan.largestCopy,
                copies.ranges.count + segments.ranges.count + 1 < SegmentPlan.mostSegments
            else { throw .holeTooSmall(needed: needed, free: free) }
            copies = copies.union(AddressRanges([part]))
        }
        guard copies.intersection(segments).isEmpty else {
            throw .imageNotUnderstood(because: "parts of it overlap")
        }
        self.copies = copies.ranges
    }

    /// The parts of an image that no edit replaces as a whole.
    static func untouched(of image: ResidentImage, by edits: [Edit]) -> [AddressRange] {
        let replaced = Set(edits.filter(\.isSegment).map { ($0.replaced ?? $0.range).start })
        return image.parts.map(\.range).filter { !replaced.contains($0.start) }
    }

    /// How many bytes the kernel may need for its own pages, going by what the last load took.
    ///
    /// `controlBytes` covers memory that has been added since.
    private static func needed(of image: ResidentImage, in hole: AddressRange) -> UInt64 {
        let listed = AddressRanges(image.kimage.segments.map(\.range))
        let below = AddressRange(start: hole.start, end: min(image.kimage.controlPage, hole.end))
        let taken = AddressRanges([below]).subtracting(listed).byteCount
        return least + taken * margin
    }
}

extension AddressRange {
    /// The whole pages that hold the range.
    func inWhole(pagesOf page: UInt64) -> AddressRange {
        AddressRange(start: start / page * page, end: (end + page - 1) / page * page)
    }
}

extension ResidentImage {
    /// Whether the pages that the kernel took for itself are outside all parts of the image, as far as
    /// `rules` say that it writes them.
    func sparesItsParts(in hole: AddressRange, by rules: Architecture.Patching? = nil) -> Bool {
        let listed = AddressRanges(kimage.segments.map(\.range))
        let unlisted = AddressRanges(parts.map(\.range)).subtracting(listed)
        let end = min(kimage.controlPage, hole.end)
        let written =
            rules?.written?(listed, hole)
            ?? AddressRanges([AddressRange(start: hole.start, end: end)]).subtracting(listed)
        return written.intersection(unlisted).isEmpty
    }
}
