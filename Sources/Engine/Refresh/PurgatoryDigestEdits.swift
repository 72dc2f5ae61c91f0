// SPDX-License-Identifier: Apache-2.0

/// How purgatory's table and digest change so that they no longer cover what is edited; pure.
///
/// The first patch takes the edited parts out of the digest, so that later ones need no digest and
/// list only one segment. Kernels since 6.6 leave the core header out from the start, for the same
/// reason. Nothing is lost: with a damaged header that is covered, purgatory hangs and there is no
/// dump; with one that is not covered, there is most of a dump, and the audit compares it with the
/// machine anyway.
struct PurgatoryDigestEdits: Equatable {
    /// The new table and the new digest; empty if the digest covers nothing that is edited.
    let edits: [Edit]
    /// Whether the address and value of the digest must first be found by a thorough look.
    ///
    /// The new value was computed when the image was last found whole, and not for the patch. So
    /// damage since then is not hidden by a new digest, and the check after the patch finds it.
    let isDigestUnfound: Bool

    /// Plans the change for `image`, in which other `edits` are made.
    ///
    /// - Throws: That the image has no digest, or one that covers an edit in some other way.
    init(for image: ResidentImage, besides edits: [Edit]) throws(PatchObstacle) {
        // Without a table nothing would be known of what a patch leaves unlisted.
        guard let digest = image.digest, image.integrity != .mismatch else {
            throw .digestNotUnderstood
        }
        let covered = edits.compactMap(\.underDigest)
        guard !covered.isEmpty else {
            self.edits = []
            isDigestUnfound = false
            return
        }
        let rest = digest.regions.filter { !covered.contains($0) }
        guard !rest.isEmpty, rest.count == digest.regions.count - covered.count,
            !rest.contains(where: { region in covered.contains { $0.overlaps(region) } })
        else { throw .digestNotUnderstood }
        var changes = [Edit(of: PurgatoryDigestEdits.table(of: rest), at: digest.table)]
        if let found = digest.found {
            // It was computed without exactly the parts that are now taken out.
            guard Set(found.edited) == Set(covered) else { throw .digestNotUnderstood }
            changes.append(Edit(of: found.withoutEdited, at: found.place))
        }
        self.edits = changes
        isDigestUnfound = digest.found == nil
    }

    /// The bytes of a table of regions.
    private static func table(of regions: [AddressRange]) -> [UInt8] {
        var bytes: [UInt8] = []
        for region in regions {
            bytes.append(littleEndian: region.start)
            bytes.append(littleEndian: region.byteCount)
        }
        return bytes + [UInt8](repeating: 0, count: RegionTable.byteCount - bytes.count)
    }
}

extension Edit {
    /// Writes bytes at an address, and leaves what is around them.
    fileprivate init(of bytes: [UInt8], at address: UInt64) {
        self.init(
            range: AddressRange(start: address, end: address + UInt64(bytes.count)), bytes: bytes,
            isSegment: false, underDigest: nil)
    }
}
