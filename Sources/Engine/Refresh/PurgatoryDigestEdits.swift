// SPDX-License-Identifier: Apache-2.0

/// How purgatory's table and digest change so that they no longer cover what is edited; pure.
///
/// The first patch takes the edited parts out of the digest, so that later ones need no digest and
/// list only one segment. Kernels since 6.6 leave the core header out from the start, for the same
/// reason. Nothing is lost: with a damaged header that is covered, purgatory hangs and there is no
/// dump; with one that is not covered, there is most of a dump, and the audit compares it with the
/// machine anyway. A page that the kernel writes for itself is taken out of the part around it. A part
/// that is moved stays in, at its new place: the digest is of bytes and not of addresses.
struct PurgatoryDigestEdits: Equatable {
    /// The new table and the new digest; empty if the digest covers nothing that is edited.
    let edits: [Edit]
    /// Whether the address and value of the digest must first be found by a thorough look.
    ///
    /// The new value was computed when the image was last found whole, and not for the patch. So
    /// damage since then is not hidden by a new digest, and the check after the patch finds it.
    let isDigestUnfound: Bool

    /// Plans the change for `image`, in which a `draft` is carried out.
    ///
    /// - Throws: That the image has no digest, or one that covers an edit in some other way.
    init(for image: ResidentImage, besides draft: Draft) throws(PatchObstacle) {
        // An image that tells what it is made of needs no table.
        if image.integrity == .none, image.residence?.maker == .kernel {
            (edits, isDigestUnfound) = ([], false)
            return
        }
        // Without a table nothing would be known of what a patch leaves unlisted.
        guard let digest = image.digest, image.integrity != .mismatch else {
            throw .digestNotUnderstood
        }
        let parts = draft.edits.compactMap(\.underDigest)
        let landing = draft.landing.flatMap { page in
            digest.regions.contains { $0.overlaps(page) } ? page : nil
        }
        let covered = parts + (landing.map { [$0] } ?? [])
        let rest = try PurgatoryDigestEdits.regions(of: digest, without: parts, or: landing)
        let moves = draft.edits.filter(\.isMove)
        guard !covered.isEmpty || !moves.isEmpty else {
            self.edits = []
            isDigestUnfound = false
            return
        }
        let moved = rest.map { region in
            moves.first { $0.replaced == region }?.range ?? region
        }
        var changes = [Edit(of: RegionTable.encoded(moved), at: digest.table)]
        if !covered.isEmpty, let found = digest.found {
            // It was computed without exactly the parts that are now taken out.
            guard Set(found.edited) == Set(covered) else { throw .digestNotUnderstood }
            changes.append(Edit(of: found.withoutEdited, at: found.place))
        }
        self.edits = changes
        isDigestUnfound = !covered.isEmpty && digest.found == nil
    }

    /// What is left of a digest's regions without whole `parts` of the image and without a page of one.
    private static func regions(
        of digest: PurgatoryDigest, without parts: [AddressRange], or landing: AddressRange?
    ) throws(PatchObstacle) -> [AddressRange] {
        let rest = digest.regions.filter { !parts.contains($0) }
        guard !rest.isEmpty, rest.count == digest.regions.count - parts.count,
            !rest.contains(where: { region in parts.contains { $0.overlaps(region) } })
        else { throw .digestNotUnderstood }
        guard let landing else { return rest }
        let split = rest.flatMap { region in
            AddressRanges([region]).subtracting(AddressRanges([landing])).ranges
        }
        guard split.count <= RegionTable.capacity,
            split.reduce(0, { $0 + $1.byteCount }) + landing.byteCount
                == rest.reduce(0, { $0 + $1.byteCount })
        else { throw .digestNotUnderstood }
        return split
    }
}
