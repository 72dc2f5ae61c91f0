// SPDX-License-Identifier: Apache-2.0

/// Where in reserved memory there is room for a part of an image that is moved; pure.
///
/// What is taken there is for an architecture to say: this only finds gaps.
struct FreePlaces {
    /// What is taken.
    private(set) var taken: AddressRanges
    /// Where anything may be put.
    private let usable: AddressRange

    /// Begins with all of `usable` that is not `taken`.
    init(besides taken: AddressRanges, in usable: AddressRange) {
        (self.taken, self.usable) = (taken, usable)
    }

    /// Finds room for `size` bytes at a multiple of `alignment`, and takes it: the lowest there is, or
    /// the highest, away from the kernel's own pages.
    ///
    /// - Throws: That there is none.
    mutating func take(
        _ size: UInt64, alignedTo alignment: UInt64, fromTop: Bool = false, for what: String
    ) throws(PatchObstacle) -> AddressRange {
        let gaps = AddressRanges([usable]).subtracting(taken).ranges
        for free in fromTop ? gaps.reversed() : gaps where free.byteCount >= size {
            let start =
                fromTop
                ? (free.end - size) / alignment * alignment
                : (free.start + alignment - 1) / alignment * alignment
            guard start >= free.start, start < free.end, free.end - start >= size else { continue }
            let place = AddressRange(start: start, end: start + size)
            taken = taken.union(AddressRanges([place]))
            return place
        }
        throw .imageNotUnderstood(
            because: "reserved memory has no room for \(ByteCount(size)) of \(what)")
    }
}
