// SPDX-License-Identifier: Apache-2.0

/// Says what is known of purgatory's digest at a glance, and prepares the work that would tell
/// more.
///
/// Finding the digest means reading the whole image, so a digest that was found before is only
/// recognised: if the same table and the same 32 bytes are still at the same addresses, nobody has
/// made another digest since. That tells where the digest is, and not that the image is still
/// whole.
struct PurgatoryDigestCheck {
    let purgatory: Purgatory
    let kimage: Kimage
    let architecture: Architecture
    /// What the parts of the image are for.
    let roles: Roles
    /// What a hotplug changes: the first patch takes it out of the table.
    let edited: [AddressRange]
    /// The digest of the image as of an earlier look; `nil` if none is known.
    let known: PurgatoryDigest?

    /// What a glance has shown.
    struct Glance {
        /// Where the digest is.
        var digest: PurgatoryDigest?
        /// Whether the image is intact, as far as that is known.
        var integrity: ResidentImage.Integrity
        /// The work of computing the digest; `nil` if there is no digest.
        var work: DigestWork?
    }

    /// Makes the check.
    func run() -> Glance {
        guard isChecked else { return Glance(integrity: .none) }
        let tables = purgatory.tables
        guard !tables.isEmpty else {
            // kexec-tools can leave it out (`-i`). A table of which something is left has been
            // damaged.
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

    /// The digest that is known, if it is this one and its value is still in its place.
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
        case .onlyInImages(let loader): (roles.residence?.maker ?? kimage.loader) == loader
        }
    }
}
