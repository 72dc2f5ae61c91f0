// SPDX-License-Identifier: Apache-2.0

/// Finds purgatory's digest and says whether the image is what it was made over.
///
/// The digest is found by its value: what is made anew over the regions of the table must occur in
/// purgatory, once. That takes reading the whole image, so a digest that was found once is recognised
/// again without: where the same table and the same 32 bytes lie in the same places, nobody has sealed
/// anything else since. That says where the digest is, and not that the image is still whole.
struct SealCheck {
    let purgatory: Purgatory
    let books: CrashImage
    let architecture: Architecture
    /// The core header's place, which a first patch takes out of the table.
    let header: AddressRange
    /// The seal of the image that was looked at before; `nil` where none is known.
    let known: LoadedImage.Seal?

    /// Makes the check from what lies in `memory`.
    ///
    /// Where it `givesWay` before the digest is made, integrity is unknown.
    /// - Throws: Why memory cannot be read.
    func run(
        hashing: Bool, in memory: PhysicalMemory, givingWay givesWay: () -> Bool
    ) throws(Unknowable) -> (LoadedImage.Seal?, LoadedImage.Integrity) {
        guard isChecked else { return (nil, .none) }
        let tables = purgatory.tables
        guard !tables.isEmpty else {
            // kexec-tools can be told to make none (`-i`); a table of which something is left over
            // is one that has been damaged.
            let isDamaged = RegionTable.names(
                anyOf: books.segments.map(\.range), in: purgatory.bytes)
            return (nil, isDamaged ? .mismatch : .none)
        }
        let seals = tables.map {
            LoadedImage.Seal(
                table: purgatory.base + UInt64($0.offset), regions: $0.regions, digest: nil)
        }
        let certain = seals.count == 1 ? seals.first : nil
        guard hashing else {
            let reason = "the digest was not made anew this time"
            return (certain.map(recognised), .unknown(because: reason))
        }
        for var seal in seals {
            let digests = try Digest.of(
                seal.regions, leaving: header, in: memory, givingWay: givesWay)
            guard let digests else {
                let reason = "newer events came before the digest was made anew"
                return (certain.map(recognised), .unknown(because: reason))
            }
            guard let place = onlyPlace(of: digests.all) else { continue }
            seal.digest = LoadedImage.Seal.Digest(
                place: purgatory.base + UInt64(place), value: digests.all,
                withoutHeader: digests.rest)
            return (seal, .verified)
        }
        return (certain, .mismatch)
    }

    /// The seal that is known, if it is this one, with its digest where that was.
    private func recognised(_ seal: LoadedImage.Seal) -> LoadedImage.Seal {
        guard let known, let digest = known.digest, known.table == seal.table,
            known.regions == seal.regions, digest.place >= purgatory.base,
            digest.place - purgatory.base < UInt64(purgatory.bytes.count),
            purgatory.bytes.dropFirst(Int(digest.place - purgatory.base))
                .starts(with: digest.value)
        else { return seal }
        return known
    }

    /// Whether there is code that checks a digest: not on arm64, and on POWER in kexec-tools' only
    /// (arch/powerpc/purgatory/trampoline_64.S has the room for one and never looks at it).
    private var isChecked: Bool {
        switch architecture {
        case .arm: false
        case .power: books.loader == .program
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
