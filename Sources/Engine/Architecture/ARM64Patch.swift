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
        let place = try places.take(
            residence.kernel.byteCount, alignedTo: ARM64Image.alignment, for: "its kernel")
        let move = Edit(
            range: place, bytes: [], isSegment: true, underDigest: nil,
            replaced: residence.kernel, isMove: true)
        let words = try purgatory.map { words throws(PatchObstacle) in
            [try words.edit(residence.kernel.start, to: place.start, of: "the kernel")]
        }
        let moved = try withEntry(
            edits + [move] + (words ?? []), kernel: place.start, tree: treePlace, header: header,
            &places)
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
                edits: edits, copies: AddressRanges(residence.code.map { [$0] } ?? []),
                entry: residence.entry, disclosure: ARM64Disclosure.again(residence))
        }
        let page: AddressRange
        if let code = residence.code {
            page = code
        } else {
            page = try places.take(
                context.pageSize, alignedTo: context.pageSize, fromTop: true, for: "its entry")
        }
        let trampoline = ARM64Trampoline(
            target: kernel, tree: tree, kernel: kernel, header: header.range.start,
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
        let parts = [
            kernel, residence.tree, residence.code, residence.initrd, residence.gate,
            residence.gateRecord,
        ].compactMap { $0 }
        return !AddressRanges(parts).intersection(AddressRanges([page])).isEmpty
    }
}

extension ARM64Patch {
    /// What is free beside the image.
    private var free: FreePlaces {
        let parts =
            image.parts.map(\.range) + residence.parts + [residence.kernel, image.header.range]
        return FreePlaces(
            besides: AddressRanges(parts + tree.tree.reservations), in: context.hole)
    }

    /// Makes the device tree anew where it has to change, in another place if it has outgrown its
    /// own; returns where it is.
    ///
    /// Under a digest it always is: the first patch takes it out, so that it can change at any
    /// later one.
    private func treeEdits(
        beside header: Edit, _ places: inout FreePlaces
    ) throws(PatchObstacle) -> (place: UInt64, [Edit]) {
        let old = residence.tree
        let used = AddressRange(
            start: header.range.start, end: header.range.start + UInt64(header.bytes.count))
        let isNamed =
            tree.header?.start == used.start && tree.header.map { $0.end >= used.end } == true
        guard !isNamed || purgatory != nil else { return (old.start, []) }
        var new = tree
        try new.name(header: header.range)
        let isCovered = image.digest?.regions.contains { $0.overlaps(old) } ?? false
        let needed: Int
        do throws(DeviceTree.Oversize) {
            let bytes = try new.tree.encoded(in: Int(old.byteCount))
            let edit = Edit(
                range: old, bytes: bytes, isSegment: true, underDigest: isCovered ? old : nil)
            return (old.start, [edit])
        } catch {
            needed = error.needed
        }
        let place = try places.take(
            AddressRange(start: 0, end: UInt64(needed)).inWhole(pagesOf: context.pageSize)
                .byteCount,
            alignedTo: ARM64Patch.alignment, fromTop: true, for: "its device tree")
        guard let bytes = try? new.tree.encoded(in: Int(place.byteCount)) else {
            throw .imageNotUnderstood(because: "its device tree is too large")
        }
        let edit = Edit(
            range: place, bytes: bytes, isSegment: true, underDigest: isCovered ? old : nil,
            replaced: old)
        let word = try purgatory.map { words throws(PatchObstacle) in
            try words.edit(old.start, to: place.start, of: "the device tree")
        }
        return (place.start, [edit] + (word.map { [$0] } ?? []))
    }

    /// The pages of a kernel that lie all in the padding before its code, behind the page with its
    /// header.
    static func unusedPages(of kernel: AddressRange, pageSize: UInt64) -> AddressRanges {
        AddressRanges([
            AddressRange(
                start: kernel.start + pageSize,
                end: min(kernel.start + ARM64Image.padding, kernel.end))
        ])
    }

    /// What that padding consists of, as bytes.
    static let filler: [UInt8] = {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: ARM64Image.nothing)
        return bytes
    }()

    /// Whether a page of that padding is what it should be: instructions that do nothing, zeros, or
    /// an earlier copy of vmcoreinfo.
    static func isUnused(_ page: [UInt8]) -> Bool {
        if page.starts(with: "OSRELEASE=".utf8) { return true }
        return stride(from: 0, to: page.count, by: 4).allSatisfy { place in
            page.word(at: place).map { $0 == 0 || $0 == ARM64Image.nothing } ?? false
        }
    }

    /// What the first patch of an image takes out of its digest beside the core header: the device
    /// tree, and the page of padding into which the kernel will write.
    static func leftOut(
        _ roles: Roles, covered: [AddressRange], in hole: AddressRange, pageSize: UInt64
    ) -> [AddressRange] {
        guard let residence = roles.residence else { return [] }
        let page = AddressRange(start: hole.start + pageSize, end: hole.start + 2 * pageSize)
        let isHit =
            residence.kernel.start == hole.start && covered.contains(residence.kernel)
            && unusedPages(of: residence.kernel, pageSize: pageSize).contains(page)
        return [residence.tree] + (isHit ? [page] : [])
    }
}
