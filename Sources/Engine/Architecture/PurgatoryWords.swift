// SPDX-License-Identifier: Apache-2.0

/// The words of kexec-tools' purgatory that say where the parts of an image are; pure.
///
/// Once it is loaded no symbol tells where they are, so they are found by their values. The table of
/// the digest has the same values, and is passed over.
struct PurgatoryWords {
    private let bytes: [UInt8]
    private let base: UInt64
    /// Where the table of the digest is, by its offset.
    private let table: Range<Int>

    /// Prepares to search the purgatory of `image`; `nil` if its table is not known to be in it.
    init?(of image: ResidentImage) {
        guard let digest = image.digest, digest.table >= image.identity.place,
            digest.table - image.identity.place < UInt64(image.identity.bytes.count)
        else { return nil }
        bytes = image.identity.bytes
        base = image.identity.place
        let offset = Int(digest.table - base)
        table = offset..<offset + RegionTable.byteCount
    }

    /// The addresses, and what is at them, of all words that are not of the table.
    var all: [(place: UInt64, value: UInt64)] {
        stride(from: 0, to: bytes.count, by: 8).compactMap { offset in
            guard !table.contains(offset), let value = bytes.double(at: offset) else { return nil }
            return (base + UInt64(offset), value)
        }
    }

    /// The address of the one word that is `value`; `nil` if there is none, or more than one.
    func place(of value: UInt64) -> UInt64? {
        let places = all.filter { $0.value == value }
        return places.count == 1 ? places.first?.place : nil
    }

    /// Makes the one word that is `old` say `new`: the address of a part that has moved.
    ///
    /// - Throws: That it is not certain which word that is.
    func edit(_ old: UInt64, to new: UInt64, of what: String) throws(PatchObstacle) -> Edit {
        guard let word = place(of: old) else {
            throw .imageNotUnderstood(
                because: "where its purgatory has the address of \(what) is not certain")
        }
        var address: [UInt8] = []
        address.append(littleEndian: new)
        return Edit(of: address, at: word)
    }
}
