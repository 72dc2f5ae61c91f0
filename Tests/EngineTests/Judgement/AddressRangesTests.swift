// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Address sets against a picture so simple that it must be right: one Boolean an address.
@Suite struct AddressRangesTests {
    private static let size = 24

    private func set(_ bits: UInt32) -> AddressRanges {
        AddressRanges(
            (0..<AddressRangesTests.size).filter { bits & 1 << $0 != 0 }
                .map { AddressRange(start: UInt64($0), end: UInt64($0) + 1) }.shuffled())
    }

    private func bits(_ set: AddressRanges) -> UInt32 {
        set.ranges.reduce(0) { bits, range in
            (range.start..<range.end).reduce(bits) { $0 | 1 << UInt32($1) }
        }
    }

    @Test func operationsAgreeWithBitSets() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let mask: UInt32 = 1 << AddressRangesTests.size - 1
            let left = random.next() & mask
            let right = random.next() & random.next() & mask
            #expect(bits(set(left)) == left)
            #expect(bits(set(left).union(set(right))) == left | right)
            #expect(bits(set(left).subtracting(set(right))) == left & ~right)
            #expect(
                set(right).ranges.allSatisfy { set(left).contains($0) } == (right & ~left == 0))
            #expect(set(left & right).ranges.allSatisfy { set(left).contains($0) })
            #expect(bits(set(left).intersection(set(right))) == left & right)
            #expect(set(left).byteCount == UInt64(left.nonzeroBitCount))
        }
    }

    @Test func rangesThatTouchBecomeOne() {
        let set = AddressRanges([
            AddressRange(start: 10, end: 20), AddressRange(start: 5, end: 10),
            AddressRange(start: 7, end: 7), AddressRange(start: 30, end: 25),
        ])
        #expect(set.ranges == [AddressRange(start: 5, end: 20)])
    }

    @Test func reachesTheEndOfTheAddressSpace() {
        let all = AddressRanges([AddressRange(start: 0, end: .max)])
        let low = AddressRanges([AddressRange(start: 0, end: 1)])
        #expect(all.subtracting(low).ranges == [AddressRange(start: 1, end: .max)])
    }
}
