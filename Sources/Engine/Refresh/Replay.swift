// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The way back from a reload that failed after the kernel had dropped the image in place: the same
/// image once more, from its own bytes, which still lie in reserved memory.
///
/// The kernel wipes nothing there, but a load that failed late may have written over some of it. So
/// only what is proven to be whole is loaded. It makes nothing better than it was.
enum Replay {
    /// What must be noted of an image while it is still loaded.
    struct Books: Hashable, Codable {
        /// Some bytes of it, and their SHA-256.
        struct Sum: Hashable, Codable {
            let range: AddressRange
            let value: [UInt8]
        }

        /// Where the crash jumps to.
        let entry: UInt64
        /// All that is resident, by address.
        let parts: [AddressRange]
        /// What purgatory's digest covers, in its order.
        let covered: [AddressRange]
        /// What it does not cover: purgatory itself, and often the core header.
        let uncovered: [Sum]
        /// What `kexec_load` is to be told, the likelier flags first.
        let flags: [UInt]

        /// How much is read at most for it; purgatory and the core header are much smaller.
        private static let mostUncovered: UInt64 = 4 << 20

        /// Notes what an image is made of.
        ///
        /// - Throws: Why it could not be loaded again, or why it cannot be read.
        init(of image: ResidentImage, flags: [UInt], in kcore: Kcore) throws(Unknowable) {
            guard let digest = image.digest else {
                throw Unknowable("nothing would prove it whole")
            }
            let parts = image.parts.map(\.range)
            let rest = AddressRanges(parts).subtracting(AddressRanges(digest.regions))
            guard parts.count <= SegmentPlan.mostSegments, rest.byteCount <= Books.mostUncovered
            else { throw Unknowable("it has too many parts") }
            entry = image.kimage.entry
            self.parts = parts
            covered = digest.regions
            uncovered = try rest.ranges.map { range throws(Unknowable) in
                let sum = try Digest()
                try sum.add(try kcore.bytes(Int(range.byteCount), at: range.start))
                return Sum(range: range, value: try sum.finish())
            }
            self.flags = flags
        }
    }

    /// Loads the image of which `books` were kept.
    ///
    /// - Throws: Why it cannot be read, or that it is no longer whole.
    static func run(
        _ books: Books, below root: SystemRoot, on architecture: Architecture
    ) throws(Unknowable) -> Kexec.Attempt {
        let whole = try Tries.settled { () throws(Unknowable) in
            try Kcore.observe(below: root) { kcore throws(Unknowable) in
                try books.parts.map { part throws(Unknowable) in
                    try Kexec.Segment(copying: part, in: kcore)
                }
            }
        }
        guard try isWhole(whole, by: books) else {
            throw Unknowable("the failed load has written over it")
        }
        return Kexec.loadSegments(
            whole, entry: books.entry, flags: books.flags, on: architecture)
    }

    /// Whether every byte is what it was: by our own sums, and by the digest that lies in purgatory.
    private static func isWhole(
        _ segments: [Kexec.Segment], by books: Books
    ) throws(Unknowable) -> Bool {
        for sum in books.uncovered {
            let digest = try Digest()
            try digest.add(segments, in: sum.range)
            guard try digest.finish() == sum.value else { return false }
        }
        let digest = try Digest()
        for region in books.covered { try digest.add(segments, in: region) }
        let value = try digest.finish()
        return books.uncovered.contains { sum in
            segments.contains { $0.holds(value, in: sum.range) }
        }
    }
}

extension Digest {
    /// Adds what copies of an image hold of a range, in the order of its addresses.
    fileprivate func add(
        _ segments: [Kexec.Segment], in range: AddressRange
    ) throws(Unknowable) {
        let piece = 1 << 20
        for segment in segments {
            let start = max(segment.range.start, range.start)
            let end = min(segment.range.end, range.end)
            guard start < end else { continue }
            for place in stride(
                from: Int(start - segment.range.start),
                to: Int(end - segment.range.start), by: piece)
            {
                let rest = Int(end - segment.range.start) - place
                try add(segment.bytes.bytes(min(piece, rest), at: place))
            }
        }
    }
}

extension Kexec.Segment {
    /// Whether `value` lies in what it has of a range.
    fileprivate func holds(_ value: [UInt8], in part: AddressRange) -> Bool {
        let (start, end) = (max(range.start, part.start), min(range.end, part.end))
        guard start < end, end - start >= UInt64(value.count) else { return false }
        let bytes = bytes.bytes(Int(end - start), at: Int(start - range.start))
        return (0...bytes.count - value.count).contains { place in
            bytes[place] == value[0]
                && bytes[place..<place + value.count].elementsEqual(value)
        }
    }
}
