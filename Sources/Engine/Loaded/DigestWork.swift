// SPDX-License-Identifier: Apache-2.0

/// Computing the digest of a resident image, a piece at a time, so that no single step takes long.
///
/// The digest is found by its value: what is computed over the regions of a table must occur in
/// purgatory, once.
struct DigestWork {
    /// The image whose digest it is.
    private let kimage: Kimage
    /// What its parts are for, which is certain only when it is certain which table is the
    /// digest's.
    let roles: Roles
    /// What looks like its table, and what is around it.
    private let purgatory: Purgatory
    /// What a change of the machine edits: a first patch takes it out of the table.
    private let edited: [AddressRange]

    private var candidates: ArraySlice<PurgatoryDigest>
    /// The regions of the first candidate that are left, and how much of their first has been
    /// taken.
    private var regions: ArraySlice<AddressRange> = []
    private var offset: UInt64 = 0
    /// The digest of the first candidate; `nil` if nothing of it has been taken.
    private var all: Digest?
    /// The same without what is edited; `nil` if the table has nothing of that.
    private var rest: Digest?

    /// Which image it is.
    var identity: ImageIdentity { purgatory.identity(of: kimage) }
    /// How many bytes have been read.
    private(set) var byteCount: UInt64 = 0
    /// The result: the digest with its value and place, and whether the image is whole.
    private(set) var outcome: (digest: PurgatoryDigest?, integrity: ResidentImage.Integrity)?

    /// What is known of an image whose digest covers keys that no program may read.
    private static let hidden = ResidentImage.Integrity.unknown(
        because: "its digest covers the keys of the encrypted dump target, which the kernel hides")

    /// How many bytes a piece has at most.
    ///
    /// One MiB takes a millisecond, or a tenth of a second under emulation, and keeps us small.
    private static let pieceSize: UInt64 = 1 << 20

    /// Starts the work for the tables that were found in `purgatory`.
    init(
        _ candidates: [PurgatoryDigest], in purgatory: Purgatory, of kimage: Kimage, roles: Roles,
        edited: [AddressRange]
    ) {
        self.roles = roles
        self.candidates = candidates[...]
        self.purgatory = purgatory
        self.kimage = kimage
        self.edited = edited
        regions = candidates.first?.regions[...] ?? []
    }

    /// The next piece; `nil` once there is an outcome.
    private var next: AddressRange? {
        guard outcome == nil, let region = regions.first else { return nil }
        let start = region.start + offset
        return AddressRange(
            start: start, end: start + min(DigestWork.pieceSize, region.end - start))
    }

    /// What a step has led to.
    enum Step {
        /// There is another step.
        case more
        /// There is an outcome, and it is about the image that is loaded.
        case done
        /// Another image has been loaded meanwhile: the work was in vain.
        case replaced
    }

    /// Does the next step: reads a piece, or after the last one checks that the image is the same.
    ///
    /// A step that fails has changed nothing and may be repeated.
    /// - Throws: Why memory cannot be read.
    mutating func step(
        below root: SystemRoot, laidOut layout: KernelLayout, within reserved: AddressRanges
    ) throws(Unknowable) -> Step {
        if let piece = next {
            let bytes = try Kcore.observe(below: root) { kcore throws(Unknowable) in
                try kcore.bytes(Int(piece.byteCount), at: piece.start)
            }
            try take(bytes)
            return .more
        }
        return try Kcore.observe(below: root) { kcore throws(Unknowable) in
            // A kernel that updates the image hides it while it writes.
            guard try Kimage.loaded(in: kcore, laidOut: layout, within: reserved) != nil else {
                throw Kimage.replaced
            }
            let isSame = try identity.isLoaded(in: kcore, laidOut: layout, within: reserved)
            return isSame ? .done : .replaced
        }
    }

    /// Whether both are about the same image.
    func isAboutSameImage(as other: DigestWork) -> Bool {
        identity == other.identity
    }

    /// Adds the bytes of the next piece.
    ///
    /// - Throws: That libcrypto has no digest, or failed.
    private mutating func take(_ bytes: [UInt8]) throws(Unknowable) {
        guard let region = regions.first else { return }
        if region.start == roles.targetKeys, offset == 0, bytes.allSatisfy({ $0 == 0 }) {
            // They begin with their number, which is not 0: the kernel hides them.
            outcome = (purgatory.tables.count == 1 ? candidates.first : nil, DigestWork.hidden)
            return
        }
        if all == nil {
            all = try Digest()
            // Nothing is left out of most images, and then one digest is both.
            rest = regions.contains(where: isEdited) ? try Digest() : nil
        }
        try all?.add(bytes)
        if rest != nil { try addRest(bytes, at: region.start + offset) }
        offset += UInt64(bytes.count)
        byteCount += UInt64(bytes.count)
        guard offset >= region.byteCount else { return }
        regions.removeFirst()
        offset = 0
        if regions.isEmpty { try end() }
    }

    /// Whether anything in a region is edited.
    private func isEdited(_ region: AddressRange) -> Bool {
        edited.contains { $0.overlaps(region) }
    }

    /// Adds what is not edited of the bytes at an address.
    private func addRest(_ bytes: [UInt8], at start: UInt64) throws(Unknowable) {
        let piece = AddressRange(start: start, end: start + UInt64(bytes.count))
        guard isEdited(piece) else {
            try rest?.add(bytes)
            return
        }
        for kept in AddressRanges([piece]).subtracting(AddressRanges(edited)).ranges {
            try rest?.add(Array(bytes[Int(kept.start - start)..<Int(kept.end - start)]))
        }
    }

    /// Looks for the value that came of a candidate, and goes on to the next where it is not there.
    private mutating func end() throws(Unknowable) {
        guard var digest = candidates.popFirst(), let value = try all?.finish() else { return }
        let withoutEdited = try rest?.finish() ?? value
        if let place = purgatory.onlyPlace(of: value) {
            digest.found = PurgatoryDigest.Found(
                place: place, value: value,
                edited: edited.filter { part in digest.regions.contains { $0.overlaps(part) } },
                withoutEdited: withoutEdited)
            outcome = (digest, .verified)
        } else if candidates.isEmpty {
            // Only a single table is certain to be one.
            outcome = (purgatory.tables.count == 1 ? digest : nil, .mismatch)
        } else {
            regions = candidates.first?.regions[...] ?? []
            (all, rest) = (nil, nil)
        }
    }
}

extension Purgatory {
    /// The physical address at which `value` lies in purgatory, if it does in exactly one place.
    fileprivate func onlyPlace(of value: [UInt8]) -> UInt64? {
        guard bytes.count >= value.count else { return nil }
        let places = (0...bytes.count - value.count).filter { place in
            bytes[place] == value[0]
                && bytes[place..<place + value.count].elementsEqual(value)
        }
        return places.count == 1 ? places.first.map { base + UInt64($0) } : nil
    }
}
