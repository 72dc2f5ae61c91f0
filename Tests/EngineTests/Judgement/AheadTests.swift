// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What shows of a hotplug before it is done, and what that is worth.
@Suite struct AheadTests {
    private func ranges(_ spans: Range<UInt64>...) -> AddressRanges {
        AddressRanges(spans.map { AddressRange(start: $0.lowerBound, end: $0.upperBound) })
    }

    private func machine(_ ram: AddressRanges) -> LiveSystem {
        LiveSystem(ram: ram, cpus: NumberSet([0, 1]))
    }

    @Test func whatHadBlocksIsLeavingAndWhatHadNoneIsComing() {
        var passage = Passage()
        let old = ranges(0..<100)
        #expect(passage.leaving(old, absent: ranges()).isEmpty)
        // A DIMM comes: first its RAM, then its blocks, one by one.
        #expect(passage.leaving(ranges(0..<200), absent: ranges(100..<200)).isEmpty)
        #expect(passage.leaving(ranges(0..<200), absent: ranges(150..<200)).isEmpty)
        #expect(passage.leaving(ranges(0..<200), absent: ranges()).isEmpty)
        // It goes: first its blocks, then its RAM.
        let going = passage.leaving(ranges(0..<200), absent: ranges(100..<150))
        #expect(going == ranges(100..<150))
        let gone = passage.leaving(ranges(0..<200), absent: ranges(100..<200))
        #expect(gone == ranges(100..<200))
        #expect(passage.leaving(old, absent: ranges()).isEmpty)
        // Another comes in its place, and is not taken for the one that went.
        #expect(passage.leaving(ranges(0..<200), absent: ranges(100..<200)).isEmpty)
    }

    @Test func anImageFollowsBeforeMemoryIsUsed() {
        let described = machine(ranges(0..<100))
        let coming = Ahead(
            machine(ranges(0..<200)), leaving: ranges(), described: described, kernelUpdates: false)
        #expect(coming?.coverage.missingMemory == ranges(100..<200))
        let updated = Ahead(
            machine(ranges(0..<200)), leaving: ranges(), described: described, kernelUpdates: true)
        #expect(updated == nil, "the kernel adds it itself")
        let same = Ahead(described, leaving: ranges(), described: described, kernelUpdates: false)
        #expect(same == nil)
    }

    @Test(arguments: [true, false]) func anImageForgetsWhatIsLeaving(kernelUpdates: Bool) {
        let leaving = Ahead(
            machine(ranges(0..<200)), leaving: ranges(100..<200),
            described: machine(ranges(0..<200)), kernelUpdates: kernelUpdates)
        #expect(leaving?.system.ram == ranges(0..<100))
        #expect(leaving?.coverage.phantomMemory == ranges(100..<200))
    }

    @Test func whatIsMissingWeighsMoreThanWhatIsGone() {
        let live = machine(ranges(0..<1_000))
        func loss(_ ram: AddressRanges, _ cpus: Set<Int> = [0, 1]) -> Double {
            Coverage(live: live, described: LiveSystem(ram: ram, cpus: NumberSet(cpus)))
                .loss(on: live)
        }
        #expect(loss(ranges(0..<1_000)) == 0)
        #expect((0.5..<0.52).contains(loss(ranges(0..<990))))
        #expect((0.1..<0.12).contains(loss(ranges(0..<1_010))))
        #expect(loss(ranges(0..<1_000), [0]) == 0.5)
        #expect(loss(ranges(0..<1_000), [0, 1, 2]) == 0.1)
        #expect(loss(ranges(0..<1)) == 1)
    }
}
