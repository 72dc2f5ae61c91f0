// SPDX-License-Identifier: Apache-2.0

import Engine
import Testing

/// The table of DESIGN.md section 5, over every combination of what can be observed.
@Suite struct JudgementTests {
    private static let machine = LiveSystem(
        ram: AddressRanges([AddressRange(start: 0x10_0000, end: 0x4000_0000)]),
        cpus: NumberSet([0, 1]))
    private static let grown = LiveSystem(
        ram: machine.ram.union(AddressRanges([AddressRange(start: 1 << 32, end: 0x1_1000_0000)])),
        cpus: NumberSet([0, 1, 2]))

    static var observations: [Observation] {
        var all: [Observation] = []
        for architecture in [Architecture.x86, .arm, .power, .z] {
            for live: Fact<LiveSystem> in [.known(machine), .known(grown), .unknown(because: "w")] {
                for reserved: Fact<[AddressRange]> in [
                    .known([]), .known([AddressRange(start: 0, end: 1)]), .unknown(because: "w"),
                ] {
                    for loaded in [true, false, nil] {
                        for keepsUp in [true, false, nil] {
                            for described in [machine, grown, nil] {
                                for expects in [true, false] {
                                    all.append(
                                        Observation(
                                            architecture: architecture, live: live,
                                            reserved: reserved,
                                            support: KernelSupport(isLoaded: loaded),
                                            keepsUp: keepsUp, described: described,
                                            expectsImage: expects))
                                }
                            }
                        }
                    }
                }
            }
        }
        return all
    }

    /// The table once more, as one expression a row; the two must agree everywhere.
    private func expected(_ seen: Observation) -> Verdict {
        if seen.support.isLoaded == nil { return .unsupported }
        if seen.support.isLoaded == false {
            if seen.reserved.value?.isEmpty == true { return .nothingReserved }
            return seen.expectsImage ? .lost : .nothingLoaded
        }
        if seen.architecture == .z { return .neverStale }
        if seen.keepsUp == true { return .kernelKeepsUp }
        guard let live = seen.live.value else { return .unverified(because: "w") }
        guard let described = seen.described else {
            return .unverified(because: "the image was not loaded by this daemon")
        }
        if live == described { return .current }
        return .stale(Coverage(live: live, described: described))
    }

    @Test func everyCombination() {
        let all = JudgementTests.observations
        #expect(all.count == 4 * 3 * 3 * 3 * 3 * 3 * 2)
        for seen in all { #expect(Verdict.judge(seen) == expected(seen)) }
    }

    @Test func neverLoadsWhereNothingIsWanted() {
        for seen in JudgementTests.observations {
            let verdict = Verdict.judge(seen)
            let wanted = seen.support.isLoaded == true || verdict == .lost
            if !wanted { #expect(!verdict.needsRefresh(on: .hotplug)) }
            // What one look at an unchanged machine would do, the next would do again: only a
            // verdict that a refresh cures may ask for one without an occasion.
            if verdict.needsRefresh(on: .routine) {
                if case .stale = verdict { continue }
                #expect(verdict == .lost)
            }
        }
    }

    @Test func hotplugRefreshesWhatCannotBeVerified() {
        #expect(Verdict.unverified(because: "w").needsRefresh(on: .hotplug))
        #expect(!Verdict.unverified(because: "w").needsRefresh(on: .routine))
        #expect(!Verdict.kernelKeepsUp.needsRefresh(on: .hotplug))
        #expect(!Verdict.current.needsRefresh(on: .hotplug))
    }

    @Test func coverageNamesBothDirections() {
        let lost = Coverage(live: JudgementTests.grown, described: JudgementTests.machine)
        #expect(lost.missingMemory.byteCount == 256 << 20)
        #expect(lost.missingCPUs == NumberSet([2]))
        #expect(lost.phantomMemory.isEmpty && lost.phantomCPUs.isEmpty)
        #expect(lost.losesAnything && !lost.isExact)
        let gone = Coverage(live: JudgementTests.machine, described: JudgementTests.grown)
        #expect(gone.phantomMemory.byteCount == 256 << 20)
        #expect(gone.phantomCPUs == NumberSet([2]))
        #expect(!gone.losesAnything && !gone.isExact)
        let same = Coverage(live: JudgementTests.grown, described: JudgementTests.grown)
        #expect(same.isExact && !same.losesAnything)
    }
}
