// SPDX-License-Identifier: Apache-2.0

/// A patch of a crash image on POWER: core header, device tree, and the words of purgatory that say
/// where things are; pure.
///
/// The capture kernel lies where the kernel puts its own pages. Of those only the copy of vmcoreinfo is
/// written, and it may come to lie in one of three places, by what is listed:
/// - below the image, where the capture kernel has been moved away before;
/// - on the capture kernel's page for firmware-assisted NMIs, which nothing uses
///   (arch/powerpc/kernel/exceptions-64s.S, `fwnmi_data_area`), if pages have 4 KiB; then what lies
///   before that page is listed, too;
/// - in the capture kernel's old place, if it is moved now.
/// It reads nothing, and what it cannot prove is an obstacle.
struct POWERPatch {
    let context: Edit.Context
    let image: ResidentImage
    let tree: DeviceTree
    let treeRange: AddressRange
    let purgatoryRange: AddressRange
    let purgatory: PurgatoryWords
    let firmware: FirmwareDescription
    /// The capture kernel: one piece, or two if a page between them is out of the digest.
    let kernel: [AddressRange]

    /// The offset of the page that nothing uses, in a kernel that is loaded; everything below it is
    /// used, and it has 4 KiB.
    private static let unusedPage: UInt64 = 0x7000
    /// The page size for which that page is a page of its own.
    private static let smallPage: UInt64 = 4 << 10
    /// Kernels are loaded at multiples of this: that of the first kernel's large pages.
    private static let kernelAlignment: UInt64 = 16 << 20

    /// Plans the patch.
    ///
    /// - Throws: Why there is none.
    static func draft(_ context: Edit.Context) throws(PatchObstacle) -> Draft {
        try POWERPatch(context).draft()
    }

    private init(_ context: Edit.Context) throws(PatchObstacle) {
        let image = context.image
        self.context = context
        self.image = image
        guard image.maker == .program else {
            throw .imageNotUnderstood(because: "kexec_file_load has made it")
        }
        guard let tree = image.tree,
            let treePart = image.parts.first(where: { $0.role == .bootParameters })
        else { throw .imageNotUnderstood(because: "it has no device tree") }
        let purgatory = image.parts.first { $0.role == .purgatory && $0.isListed }
        guard let words = PurgatoryWords(of: image), let purgatory else {
            throw .imageNotUnderstood(because: "where its purgatory ends is not known")
        }
        switch context.firmware {
        case .known(let description): firmware = description
        case .unknown(let reason): throw .machineNotKnown(because: reason)
        }
        (self.tree, treeRange) = (tree, treePart.range)
        (self.purgatory, purgatoryRange) = (words, purgatory.range)
        kernel = try POWERPatch.kernel(of: image)
    }

    /// Finds the capture kernel: what the digest covers and is nothing else.
    private static func kernel(of image: ResidentImage) throws(PatchObstacle) -> [AddressRange] {
        let known: Set<ResidentImage.Role> = [
            .coreHeader, .bootParameters, .initrd, .backup, .purgatory,
        ]
        let others = AddressRanges(image.parts.filter { known.contains($0.role) }.map(\.range))
        let regions = (image.digest?.regions ?? [])
            .filter { AddressRanges([$0]).intersection(others).isEmpty }
        let isSplit =
            regions.count == 2 && regions[0].byteCount == unusedPage
            && regions[1].start == regions[0].end + smallPage
        guard regions.count == 1 || isSplit else {
            throw .imageNotUnderstood(because: "which part of it is the kernel is not certain")
        }
        return regions
    }

    private func draft() throws(PatchObstacle) -> Draft {
        try anyDraft().checked(in: context.hole, pageSize: context.pageSize)
    }

    private func anyDraft() throws(PatchObstacle) -> Draft {
        // Each thing that does not fit in its place needs room that the others have left.
        var places: FreePlaces?
        let header = try headerEdit(&places)
        let treeEdits = try treeEdits(beside: header, &places)
        let edits = [header] + treeEdits
        let listed = AddressRanges(edits.filter(\.isSegment).map(\.range) + [purgatoryRange])
        if try isSpared(by: listed, kernel) {
            return Draft(edits: edits, copies: AddressRanges([purgatoryRange]))
        }
        if let draft = draftOverUnusedPage(edits, listed) { return draft }
        return try draftWithMove(edits, listed, &places)
    }

    /// Whether the page that the kernel writes hits nothing if it is given a list, while the capture
    /// kernel lies in `pieces`.
    private func isSpared(
        by listed: AddressRanges, _ pieces: [AddressRange]
    ) throws(PatchObstacle) -> Bool {
        let pages = ControlPages(
            beside: listed, in: context.hole, pageSize: context.pageSize)
        guard let pages else { return false }
        let replaced = AddressRanges([image.header.range, treeRange] + kernel)
        let resident = AddressRanges(image.parts.map(\.range)).subtracting(replaced)
            .union(AddressRanges(pieces))
        let taken = resident.union(try POWERPlaces.firmware(in: tree))
        return taken.intersection(AddressRanges([pages.note])).isEmpty
    }

    /// Lists all of the capture kernel that lies before its unused page; `nil` if that is no page of the
    /// kernel that runs, or not where it would put its own.
    private func draftOverUnusedPage(_ edits: [Edit], _ listed: AddressRanges) -> Draft? {
        let base = context.hole.start
        let (first, last) = (kernel[0], kernel[kernel.count - 1])
        let page = AddressRange(
            start: base + POWERPatch.unusedPage,
            end: base + POWERPatch.unusedPage + POWERPatch.smallPage)
        guard context.pageSize == POWERPatch.smallPage, first.start == base, last.end > page.end
        else { return nil }
        let before = AddressRange(start: base + POWERPatch.smallPage, end: page.start)
        let copies = AddressRanges([purgatoryRange, before])
        let pages = ControlPages(
            beside: listed.union(copies), in: context.hole, pageSize: context.pageSize)
        guard pages?.note == page, pages?.code.end == before.start else { return nil }
        return Draft(edits: edits, copies: copies, landing: page)
    }

    /// Moves the capture kernel, so that the kernel's own pages fall into its old place, now and later.
    private func draftWithMove(
        _ edits: [Edit], _ listed: AddressRanges, _ places: inout FreePlaces?
    ) throws(PatchObstacle) -> Draft {
        guard kernel.count == 1, kernel[0].start == context.hole.start else {
            throw .imageNotUnderstood(because: "the kernel's own pages would hit it")
        }
        let place = try take(
            kernel[0].byteCount, alignedTo: POWERPatch.kernelAlignment, for: "its kernel", &places)
        let word = try purgatory.edit(kernel[0].start, to: place.start, of: "the kernel")
        guard try isSpared(by: listed.union(AddressRanges([place])), [place]) else {
            throw .imageNotUnderstood(because: "the kernel's own pages would hit it")
        }
        let move = Edit(
            range: place, bytes: [], isSegment: true, underDigest: nil, replaced: kernel[0],
            isMove: true)
        return Draft(edits: edits + [move, word], copies: AddressRanges([purgatoryRange]))
    }

    /// What the first patch of an image takes out of its digest beside the core header: the device tree,
    /// and the page that nothing uses, where the kernel's own page will come.
    static func leftOut(
        _ roles: Roles, covered: [AddressRange], in hole: AddressRange, pageSize: UInt64
    ) -> [AddressRange] {
        var parts = roles.bootData.map { [$0] } ?? []
        let page = AddressRange(
            start: hole.start + unusedPage, end: hole.start + unusedPage + smallPage)
        if pageSize == smallPage,
            covered.contains(where: { $0.start == hole.start && $0.end > page.end })
        {
            parts.append(page)
        }
        return parts
    }
}
