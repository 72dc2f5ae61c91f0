// SPDX-License-Identifier: Apache-2.0

/// How purgatory's table and digest change so that they no longer cover what is edited; pure.
///
/// An edited part is taken out at the first patch instead of making a new digest at each. Kernels since
/// 6.6 leave the core header out from the beginning, for the same reason: it changes. Then a later
/// patch touches one segment and needs no digest at all, and nothing is lost: a damaged header under
/// the digest gives no dump, because purgatory hangs; one that is not gives most of it, and the audit
/// compares it with the machine in any case.
struct PurgatoryDigestEdits: Equatable {
    /// The new table and the new digest; none where nothing that is edited is covered.
    let edits: [Edit]
    /// Whether the digest's place and value must be looked for first, by a thorough look.
    ///
    /// The new value was computed when the image was last found whole, and not for the patch: what
    /// has been damaged since gets no new digest, and the audit after the patch finds it.
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
            // It was computed without exactly what is taken out.
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
