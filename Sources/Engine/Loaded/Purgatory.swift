// SPDX-License-Identifier: Apache-2.0

/// The code that runs between the two kernels, with what looks like the table of its digest.
///
/// It is read as bytes and searched. Its digest is not computed here: see `PurgatoryDigestCheck`.
struct Purgatory {
    /// Where it is; if the kernel does not list it, the whole hole that it is in.
    let range: AddressRange
    /// What looks like a table of regions in it.
    let tables: [RegionTable]
    /// The bytes that were searched, and where they begin.
    let bytes: [UInt8]
    let base: UInt64

    /// How far from the entry an unlisted purgatory is looked for.
    ///
    /// The kernel's has 16 to 20 KiB, kexec-tools' some 40 KiB, stacks included.
    private static let reach: UInt64 = 64 << 10
    /// How much of a listed one is read: code and small tables are not larger.
    private static let largest: UInt64 = 1 << 20

    /// What the digest covers, if that is certain without computing it.
    var regions: [AddressRange] { tables.count == 1 ? tables.first?.regions ?? [] : [] }

    /// What tells the image that this is a part of from others.
    func identity(of kimage: Kimage) -> ImageIdentity {
        ImageIdentity(kimage: kimage, place: base, bytes: bytes)
    }

    /// Finds the purgatory of a loaded image.
    ///
    /// - Throws: Why memory cannot be read.
    init(
        of kimage: Kimage, in kcore: Kcore, within reserved: AddressRanges
    ) throws(Unknowable) {
        let listed = kimage.segments.map(\.range).filter { $0.holds(kimage.entry) }
            // A patch may list one page of it only, or none.
            .first { $0.byteCount > Architecture.smallestPage && $0.byteCount <= Purgatory.largest }
        guard let hole = reserved.ranges.first(where: { $0.holds(kimage.entry) }) else {
            throw Unknowable("the entry of the crash image lies outside reserved memory")
        }
        let searched = listed ?? Purgatory.surroundings(of: kimage.entry, in: hole)
        base = searched.start
        bytes = try kcore.bytes(Int(searched.byteCount), at: base)
        // Purgatory runs while it computes the digest, so no digest covers it.
        tables = RegionTable.candidates(in: bytes, within: reserved)
            .filter { table in !table.regions.contains { $0.holds(kimage.entry) } }
        let others = tables.count == 1 ? tables[0].regions : []
        range = listed ?? Purgatory.hole(in: searched, besides: others, of: kimage)
    }

    /// Reads the code of an image that tells itself where it is, or what stands for that code.
    ///
    /// - Throws: Why memory cannot be read.
    init(
        of residence: Residence, in kcore: Kcore, within reserved: AddressRanges
    ) throws(Unknowable) {
        let mark = residence.mark
        guard mark.byteCount <= Purgatory.largest else {
            throw Unknowable("the code of the crash image is larger than any")
        }
        base = mark.start
        bytes = try kcore.bytes(Int(mark.byteCount), at: base)
        tables = RegionTable.candidates(in: bytes, within: reserved)
            .filter { table in !table.regions.contains { $0.overlaps(mark) } }
        range = residence.code ?? AddressRange(start: mark.start, end: mark.start)
    }

    private static func surroundings(of entry: UInt64, in hole: AddressRange) -> AddressRange {
        let first = max(entry - entry % Architecture.smallestPage, hole.start)
        return AddressRange(
            start: first - min(first - hole.start, reach), end: first + min(hole.end - first, reach)
        )
    }

    /// What is left of `searched` around the entry without everything that is known to be something
    /// else.
    private static func hole(
        in searched: AddressRange, besides regions: [AddressRange], of kimage: Kimage
    ) -> AddressRange {
        let large = kimage.segments.map(\.range).filter { $0.byteCount > Architecture.smallestPage }
        return AddressRanges([searched]).subtracting(AddressRanges(regions + large)).ranges
            .first { $0.holds(kimage.entry) } ?? searched
    }
}

extension AddressRange {
    /// Whether `address` belongs to the range.
    func holds(_ address: UInt64) -> Bool { start <= address && address < end }
}
