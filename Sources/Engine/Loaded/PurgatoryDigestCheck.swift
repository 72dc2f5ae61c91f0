// SPDX-License-Identifier: Apache-2.0

/// Says what is known of purgatory's digest at a glance, and what work would tell more.
///
/// To find the digest takes reading the whole image, so one that was found before is recognised again
/// without: where the same table and the same 32 bytes lie in the same places, nobody has made another
/// digest since. That says where the digest is, and not that the image is still whole.
struct PurgatoryDigestCheck {
    let purgatory: Purgatory
    let kimage: Kimage
    let architecture: Architecture
    /// What the parts of the image are for.
    let roles: Roles
    /// What a change of the machine edits: a first patch takes it out of the table.
    let edited: [AddressRange]
    /// The digest of the image that was looked at before; `nil` where none is known.
    let known: PurgatoryDigest?

    /// What a glance has shown.
    struct Glance {
        /// Where the digest lies.
        var digest: PurgatoryDigest?
        /// What is known of the image's wholeness.
        var integrity: ResidentImage.Integrity
        /// What computes the digest again; `nil` where there is none.
        var work: DigestWork?
    }

    /// Makes the check.
    func run() -> Glance {
        guard isChecked else { return Glance(integrity: .none) }
        let tables = purgatory.tables
        guard !tables.isEmpty else {
            // kexec-tools can be told to make none (`-i`); a table of which something is left over
            // is one that has been damaged.
            let isDamaged = RegionTable.names(
                anyOf: kimage.segments.map(\.range), in: purgatory.bytes)
            return Glance(integrity: isDamaged ? .mismatch : .none)
        }
        let candidates = tables.map {
            PurgatoryDigest(
                table: purgatory.base + UInt64($0.offset), regions: $0.regions, found: nil)
        }
        return Glance(
            digest: candidates.count == 1 ? candidates.first.map(recognised) : nil,
            integrity: .unknown(because: "the digest was not computed this time"),
            work: DigestWork(
                candidates, in: purgatory, of: kimage, roles: roles, edited: edited))
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

    /// Whether the code between the two kernels computes the digest and compares it.
    private var isChecked: Bool {
        switch architecture.digestCheck {
        case .always: true
        case .onlyInImages(let loader): kimage.loader == loader
        }
    }
}
