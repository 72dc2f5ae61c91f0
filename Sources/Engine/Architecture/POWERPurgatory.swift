// SPDX-License-Identifier: Apache-2.0

/// The words of kexec-tools' purgatory that say where the parts of an image are; pure.
///
/// Once it is loaded no symbol tells where they are, so they are found by their values
/// (purgatory/arch/ppc64/purgatory-ppc64.c: `dt_offset`, `kernel`, `stack`). The table of the digest has
/// the same values, and is passed over.
struct POWERPurgatory {
    private let bytes: [UInt8]
    private let base: UInt64
    /// Where the table of the digest is, by its offset.
    private let table: Range<Int>

    /// How much lies below `stack` in no segment (kexec-elf-ppc64.c, `locate_hole`).
    private static let stackSize: UInt64 = 16 << 10

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
    private var words: [(place: UInt64, value: UInt64)] {
        stride(from: 0, to: bytes.count, by: 8).compactMap { offset in
            guard !table.contains(offset), let value = bytes.double(at: offset) else { return nil }
            return (base + UInt64(offset), value)
        }
    }

    /// The address of the one word that is `value`; `nil` if there is none, or more than one.
    func place(of value: UInt64) -> UInt64? {
        let places = words.filter { $0.value == value }
        return places.count == 1 ? places.first?.place : nil
    }

    /// The memory that its stack may be in: below every word that points into `hole`, where no part is.
    ///
    /// Too much is no harm: nothing is put there. `nil` if there is no such word that is not known to be
    /// something else, the address of a part.
    func stacks(in hole: AddressRange, beside parts: AddressRanges) -> AddressRanges? {
        let candidates = words.compactMap { word -> AddressRange? in
            guard hole.holds(word.value), word.value - hole.start >= POWERPurgatory.stackSize
            else { return nil }
            let stack = AddressRange(
                start: word.value - POWERPurgatory.stackSize, end: word.value)
            return AddressRanges([stack]).intersection(parts).isEmpty ? stack : nil
        }
        let isFound = candidates.contains { stack in
            !parts.ranges.contains { $0.holds(stack.end) }
        }
        return isFound ? AddressRanges(candidates) : nil
    }
}
