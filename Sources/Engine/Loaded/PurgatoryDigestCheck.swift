// SPDX-License-Identifier: Apache-2.0

/// Finds purgatory's digest and says whether the image is what it was made over.
///
/// The digest is found by its value: what is made anew over the regions of the table must occur in
/// purgatory, once. That takes reading the whole image, so a digest that was found once is recognised
/// again without: where the same table and the same 32 bytes lie in the same places, nobody has made
/// another digest
/// anything else since. That says where the digest is, and not that the image is still whole.
struct PurgatoryDigestCheck {
    let purgatory: Purgatory
    let kimage: Kimage
    let architecture: Architecture
    /// The core header's place, which a first patch takes out of the table.
    let header: AddressRange
    /// The digest of the image that was looked at before; `nil` where none is known.
    let known: PurgatoryDigest?

    /// Makes the check from what lies in `kcore`.
    ///
    /// Where it `givesWay` before the digest is made, integrity is unknown.
    /// - Throws: Why memory cannot be read.
    func run(
        hashing: Bool, in kcore: Kcore, givingWay givesWay: () -> Bool
    ) throws(Unknowable) -> (PurgatoryDigest?, ResidentImage.Integrity) {
        guard isChecked else { return (nil, .none) }
        let tables = purgatory.tables
        guard !tables.isEmpty else {
            // kexec-tools can be told to make none (`-i`); a table of which something is left over
            // is one that has been damaged.
            let isDamaged = RegionTable.names(
                anyOf: kimage.segments.map(\.range), in: purgatory.bytes)
            return (nil, isDamaged ? .mismatch : .none)
        }
        let candidates = tables.map {
            PurgatoryDigest(
                table: purgatory.base + UInt64($0.offset), regions: $0.regions, found: nil)
        }
        let certain = candidates.count == 1 ? candidates.first : nil
        guard hashing else {
            let reason = "the digest was not computed this time"
            return (certain.map(recognised), .unknown(because: reason))
        }
        for var digest in candidates {
            let digests = try Digest.of(
                digest.regions, leaving: header, in: kcore, givingWay: givesWay)
            guard let digests else {
                let reason = "newer events came before the digest was computed"
                return (certain.map(recognised), .unknown(because: reason))
            }
            guard let place = onlyPlace(of: digests.all) else { continue }
            digest.found = PurgatoryDigest.Found(
                place: purgatory.base + UInt64(place), value: digests.all,
                withoutHeader: digests.rest)
            return (digest, .verified)
        }
        return (certain, .mismatch)
    }

    /// The digest that is known, if it is this one, with its value where that was.
    private func recognised(_ digest: PurgatoryDigest) -> PurgatoryDigest {
        guard let known, let found = known.found, known.table == digest.table,
            known.regions == digest.regions, found.place >= purgatory.base,
            found.place - purgatory.base < UInt64(purgatory.bytes.count),
            purgatory.bytes.dropFirst(Int(found.place - purgatory.base))
                .starts(with: found.value)
        else { return digest }
        return known
    }

    /// Whether there is code that checks a digest: not on arm64, and on POWER in kexec-tools' only
    /// (arch/powerpc/purgatory/trampoline_64.S has the room for one and never looks at it).
    private var isChecked: Bool {
        switch architecture {
        case .arm: false
        case .power: kimage.loader == .program
        case .x86, .z, .other: true
        }
    }

    /// Where `digest` lies in purgatory, if it does in exactly one place.
    private func onlyPlace(of digest: [UInt8]) -> Int? {
        let bytes = purgatory.bytes
        guard bytes.count >= digest.count else { return nil }
        let places = (0...bytes.count - digest.count).filter { place in
            bytes[place] == digest[0]
                && bytes[place..<place + digest.count].elementsEqual(digest)
        }
        return places.count == 1 ? places.first : nil
    }
}
