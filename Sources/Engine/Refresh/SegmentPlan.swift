// SPDX-License-Identifier: Apache-2.0

/// Which parts of an image a patch lists, so that the kernel's own pages hit none; pure.
///
/// For each load the kernel takes pages for itself (page tables, a copy of its note): the lowest ones
/// of reserved memory that no *listed* segment covers (kernel/kexec_core.c,
/// `kimage_alloc_crash_control_pages`). What is resident and not listed is not safe from that. So the
/// lowest hole must be large, and what small parts lie below it must be listed, with the bytes they
/// have.
struct SegmentPlan: Equatable {
    /// Where the core header goes, and how much room it gets.
    let header: AddressRange
    /// What else is listed, by address.
    let copies: [AddressRange]

    /// KEXEC_SEGMENT_MAX of include/linux/kexec.h.
    static let mostSegments = 16
    /// The kernels' page on x86_64.
    static let page: UInt64 = 4096
    /// How large a part may be and still be listed only because it lies low.
    ///
    /// Copying it lengthens the unprotected time, under one millisecond for 1 MiB.
    private static let largestCopy: UInt64 = 1 << 20
    /// How many bytes a header gets to grow in, where the kernel grows it itself.
    ///
    /// Room for 292 more ranges: more DIMMs than any board has sockets for. All that is listed is
    /// filled by the kernel while the machine is unprotected, hence not the 900 KiB of its own load.
    private static let growth: UInt64 = 16 << 10
    /// How many times more the hole must hold than the kernel took of it at the last load.
    private static let margin: UInt64 = 4
    /// What the hole must hold in any case.
    private static let least: UInt64 = 64 << 10

    /// Plans the list for `image` in the reserved range `hole`.
    ///
    /// `pages` are the pages that the patch changes beside the header's.
    /// - Throws: Why there is none.
    init(
        for image: ResidentImage, headerSize: UInt64, changing pages: [AddressRange],
        in hole: AddressRange, on live: LiveSystem
    ) throws(PatchObstacle) {
        header = try SegmentPlan.place(for: headerSize, of: image)
        let parts = image.parts.filter { $0.role != .coreHeader }.map(\.range)
        let needed = SegmentPlan.needed(of: image, in: hole, on: live)
        var copies = AddressRanges(pages)
        while true {
            let listed = copies.union(AddressRanges([header]))
            let lowest = AddressRanges(parts).subtracting(listed).ranges.first?.start ?? hole.end
            let below = AddressRanges([AddressRange(start: hole.start, end: lowest)])
            let free = below.subtracting(listed).ranges.map(\.byteCount).max() ?? 0
            if free >= needed { break }
            guard let part = parts.first(where: { $0.holds(lowest) }),
                part.byteCount <= SegmentPlan.largestCopy,
                copies.ranges.count + 2 < SegmentPlan.mostSegments
            else { throw .holeTooSmall(needed: needed, free: free) }
            copies = copies.union(AddressRanges([part]))
        }
        guard copies.intersection(AddressRanges([header])).isEmpty else {
            throw .imageNotUnderstood(because: "parts of it overlap")
        }
        self.copies = copies.ranges
    }

    /// How much of its old place the header gets: all of it, unless the kernel has left it far more
    /// than it can need.
    private static func place(
        for size: UInt64, of image: ResidentImage
    ) throws(PatchObstacle) -> AddressRange {
        let room = image.header.range.byteCount
        guard size <= room else { throw .headerTooLarge(needed: size, room: room) }
        let start = image.header.range.start
        guard start % page == 0, room % page == 0 else {
            throw .imageNotUnderstood(because: "its core header is not page-aligned")
        }
        let wanted = (size + growth + page - 1) / page * page
        return AddressRange(start: start, end: start + min(room, wanted))
    }

    /// How many bytes the kernel may want for itself.
    ///
    /// It says what the last load took. Memory that has come since takes a page more for each GiB
    /// where the processor cannot map a GiB as one (arch/x86/kernel/machine_kexec_64.c,
    /// `init_pgtable`).
    private static func needed(
        of image: ResidentImage, in hole: AddressRange, on live: LiveSystem
    ) -> UInt64 {
        let listed = AddressRanges(image.kimage.segments.map(\.range))
        let below = AddressRange(start: hole.start, end: min(image.kimage.controlPage, hole.end))
        let taken = AddressRanges([below]).subtracting(listed).byteCount
        let gigabytes = live.ram.ranges.reduce(0) { $0 + ($1.byteCount >> 30) + 2 }
        return least + taken * margin + gigabytes * page
    }
}

extension ResidentImage {
    /// Whether the pages that the kernel took for itself lie in no part of the image.
    func sparesItsParts(in hole: AddressRange) -> Bool {
        let end = min(kimage.controlPage, hole.end)
        let listed = AddressRanges(kimage.segments.map(\.range))
        let taken = AddressRanges([AddressRange(start: hole.start, end: end)]).subtracting(listed)
        let unlisted = AddressRanges(parts.map(\.range)).subtracting(listed)
        return taken.intersection(unlisted).isEmpty
    }
}
