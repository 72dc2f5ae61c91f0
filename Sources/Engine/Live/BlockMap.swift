// SPDX-License-Identifier: Apache-2.0

/// Which of the blocks that some memory consists of there are; pure.
///
/// A bit for each block up to the last one: sorting or hashing half a million numbers, as many as
/// 64 TiB have at the smallest size, takes thirty times as long. It asks nobody about a block.
struct BlockMap {
    /// The most blocks that are told apart; all beyond count as present.
    ///
    /// At the smallest size that is 16 PiB, more than any machine has, and nonsense in a map costs 16 MiB
    /// and no more.
    private static let most: UInt64 = 1 << 27

    private let ranges: AddressRanges
    private let size: UInt64
    private let end: UInt64
    private var bits: [UInt64]

    /// Notes which blocks up to the end of `ranges` are `present`, by their numbers; a block has `size`
    /// bytes.
    init(of ranges: AddressRanges, size: UInt64, present: [UInt64]) {
        (self.ranges, self.size) = (ranges, size)
        end = min(ranges.ranges.last.map { ($0.end - 1) / size + 1 } ?? 0, BlockMap.most)
        bits = Array(repeating: 0, count: Int(end / 64) + 1)
        for number in present where number < end {
            bits[Int(number / 64)] |= 1 << (number % 64)
        }
    }

    /// Returns the parts of the ranges in blocks that are wanted, by number and whether they are there.
    func parts<Failure>(
        where isWanted: (UInt64, _ isPresent: Bool) throws(Failure) -> Bool
    ) throws(Failure) -> AddressRanges {
        var wanted: [AddressRange] = []
        // The last block of a range may be the first of the next one.
        var next: UInt64 = 0
        for range in ranges.ranges {
            let first = max(range.start / size, next)
            next = max(first, min((range.end - 1) / size + 1, end))
            for number in first..<next {
                let isPresent = bits[Int(number / 64)] & 1 << (number % 64) != 0
                guard try isWanted(number, isPresent) else { continue }
                let (end, overflow) = (number * size).addingReportingOverflow(size)
                let block = AddressRange(start: number * size, end: overflow ? .max : end)
                if let last = wanted.last, last.end == block.start {
                    wanted[wanted.count - 1] = AddressRange(start: last.start, end: block.end)
                } else {
                    wanted.append(block)
                }
            }
        }
        return AddressRanges(wanted).intersection(ranges)
    }
}
