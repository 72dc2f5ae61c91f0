// SPDX-License-Identifier: Apache-2.0

/// How purgatory's table and digest change so that they no longer cover the core header; pure.
///
/// The core header is taken out at the first patch instead of making a new digest at each. Kernels since
/// 6.6 leave it out from the beginning, for the same reason: it changes. Then a later patch touches
/// one segment and needs no digest at all, and nothing is lost: a damaged header under the digest gives
/// no dump, because purgatory hangs; one that is not gives most of it, and the audit compares it with
/// the machine in any case.
struct PurgatoryDigestPlan: Equatable {
    /// The physical address of the table.
    let table: UInt64
    /// The digest, of which the part without the core header takes the place of the whole; `nil`
    /// as long as it has not been looked for.
    ///
    /// It was made when the image was last found whole, and not for the patch: what has been damaged
    /// since gets no new digest, and the audit after the patch finds it.
    let found: PurgatoryDigest.Found?
    /// What the digest is to cover, in its order.
    let regions: [AddressRange]

    /// Plans the change for `image`; `nil` where the header is not covered.
    ///
    /// - Throws: That the image has no digest, or one that covers the header in some other way.
    static func plan(for image: ResidentImage) throws(PatchObstacle) -> PurgatoryDigestPlan? {
        // Without a table nothing would be known of what a patch leaves unlisted.
        guard let digest = image.digest, image.integrity != .mismatch else {
            throw .digestNotUnderstood
        }
        guard image.digestCoversHeader else { return nil }
        let rest = digest.regions.filter { $0 != image.header.range }
        guard !rest.isEmpty, rest.count == digest.regions.count - 1,
            !rest.contains(where: { $0.overlaps(image.header.range) })
        else { throw .digestNotUnderstood }
        return PurgatoryDigestPlan(table: digest.table, found: digest.found, regions: rest)
    }

    /// The pages that change.
    func pages(of page: UInt64) -> [AddressRange] {
        var places = [AddressRange(start: table, end: table + UInt64(RegionTable.byteCount))]
        if let found {
            let end = found.place + UInt64(found.value.count)
            places.append(AddressRange(start: found.place, end: end))
        }
        return places.map { place in
            AddressRange(
                start: place.start / page * page, end: (place.end + page - 1) / page * page)
        }
    }

    /// The bytes of the new table.
    var tableBytes: [UInt8] {
        var bytes: [UInt8] = []
        for region in regions {
            bytes.append(littleEndian: region.start)
            bytes.append(littleEndian: region.byteCount)
        }
        return bytes + [UInt8](repeating: 0, count: RegionTable.byteCount - bytes.count)
    }
}
