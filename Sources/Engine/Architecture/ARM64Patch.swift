// SPDX-License-Identifier: Apache-2.0

/// A patch of a crash image on arm64: the core header, and what leads the capture kernel to it;
/// pure.
///
/// What else is listed depends on who made the image. kexec-tools' purgatory checks a digest, so
/// purgatory is listed with the new one, and the device tree, which the digest no longer covers. An
/// image of `kexec_file_load` has no purgatory: it gets a trampoline as its entry. The capture
/// kernel lies where the kernel puts its own pages. The one that is written falls
/// - on the padding before the capture kernel's code, which nothing uses, if pages have 4 or 16
///   KiB;
/// - on code, if they have 64 KiB; then the capture kernel is moved once, and the page falls on its
///   old place now and later. It reads nothing, and what it cannot prove is an obstacle.
struct ARM64Patch {
    let context: Edit.Context
    let image: ResidentImage
    let residence: Residence
    let tree: ARM64DeviceTree
    /// Purgatory's words; `nil` if the image has no purgatory.
    let purgatory: PurgatoryWords?

    /// Where a part that moves begins: what is right for all page sizes (drivers of the core header
    /// use SZ_64K, arch/arm64/kernel/machine_kexec_file.c).
    static let alignment: UInt64 = 64 << 10

    /// Plans the patch.
    ///
    /// - Throws: Why there is none.
    static func draft(_ context: Edit.Context) throws(PatchObstacle) -> Draft {
        try ARM64Patch(context).draft().checked(in: context.hole, pageSize: context.pageSize)
    }

    private init(_ context: Edit.Context) throws(PatchObstacle) {
        self.context = context
        image = context.image
        guard let residence = image.residence, let tree = image.tree else {
            throw .imageNotUnderstood(because: "where its parts are is not certain")
        }
        (self.residence, self.tree) = (residence, ARM64DeviceTree(tree: tree))
        purgatory = residence.maker == .program ? PurgatoryWords(of: image) : nil
        if residence.maker == .program && purgatory == nil { throw .digestNotUnderstood }
    }

    private func draft() throws(PatchObstacle) -> Draft {
        // Each thing that does not fit in its place needs room that the others have left.
        var places = free
        let header = try HeaderPlan.edit(context) { size throws(PatchObstacle) in
            try places.take(
                size, alignedTo: ARM64Patch.alignment, fromTop: true, for: "its core header")
        }
        let (treePlace, treeEdits) = try treeEdits(beside: header, &places)
        let edits = [header] + treeEdits
        let stay = try withEntry(
            edits, kernel: residence.kernel.start, tree: treePlace, header: header, &places)
        guard let page = note(beside: stay) else {
            throw .imageNotUnderstood(
                because: "reserved memory has no room for the kernel's own pages")
        }
        if !isTaken(page, by: residence.kernel) { return stay }
        let unused = ARM64Patch.unusedPages(of: residence.kernel, pageSize: context.pageSize)
        if unused.contains(page) {
            var draft = stay
            draft.landing = page
            return draft
        }
        return try draftWithMove(edits, tree: treePlace, header: header, &places)
    }

    /// Moves the capture kernel, so that the kernel's own pages fall into its old place, now and
    /// later.
    private func draftWithMove(
        _ edits: [Edit], tree: UInt64, header: Edit, _ places: inout FreePlaces
    ) throws(PatchObstacle) -> Draft {
        let old = residence.kernel
        guard purgatory == nil || image.digest?.regions.contains(old) == true else {
            throw .imageNotUnderstood(because: "the kernel's own pages would hit it")
        }
        let place = try places.take(
            old.byteCount, alignedTo: ARM64Image.alignment, for: "its kernel")
        var edits = edits
        edits.append(
            Edit(
                range: place, bytes: [], isSegment: true, underDigest: nil, replaced: old,
                isMove: true))
        if let purgatory {
            edits.append(try purgatory.edit(old.start, to: place.start, of: "the kernel"))
        }
        let moved = try withEntry(
            edits, kernel: place.start, tree: tree, header: header, &places)
        guard let page = note(beside: moved), !isTaken(page, by: place) else {
            throw .imageNotUnderstood(because: "the kernel's own pages would hit it")
        }
        return moved
    }

    /// Adds what a crash jumps to: purgatory as it is, or a trampoline.
    private func withEntry(
        _ edits: [Edit], kernel: UInt64, tree: UInt64, header: Edit, _ places: inout FreePlaces
    ) throws(PatchObstacle) -> Draft {
        if purgatory != nil {
            return Draft(
                edits: edits, copies: AddressRanges(residence.code.map { [$0] } ?? []))
        }
        let page: AddressRange
        if let code = residence.code {
            page = code
        } else {
            page = try places.take(
                context.pageSize, alignedTo: context.pageSize, fromTop: true, for: "its entry")
        }
        let trampoline = ARM64Trampoline(
            kernel: kernel, tree: tree, header: header.range.start,
            initrd: self.tree.initrd?.start ?? 0)
        let edit = Edit(
            range: page, bytes: trampoline.bytes, isSegment: true, underDigest: nil)
        return Draft(edits: edits + [edit], copies: AddressRanges(), entry: page.start)
    }

    /// The page that the kernel will write if it is given a list.
    private func note(beside draft: Draft) -> AddressRange? {
        let listed = AddressRanges(draft.edits.filter(\.isSegment).map(\.range))
            .union(draft.copies ?? AddressRanges())
        return ControlPages(beside: listed, in: context.hole, pageSize: context.pageSize)?.note
    }

    /// Whether a page is used by what stays in its place, while the capture kernel is at `kernel`.
    private func isTaken(_ page: AddressRange, by kernel: AddressRange) -> Bool {
        let parts = [kernel, residence.tree, residence.code, residence.initrd].compactMap { $0 }
        return !AddressRanges(parts).intersection(AddressRanges([page])).isEmpty
    }
}
