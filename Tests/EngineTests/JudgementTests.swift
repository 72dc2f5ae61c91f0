// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// The table of DESIGN.md section 5, over every combination of what can be observed.
@Suite struct JudgementTests {
    private static let machine = LiveSystem(
        ram: AddressRanges([AddressRange(start: 0x10_0000, end: 0x4000_0000)]),
        cpus: NumberSet([0, 1]))
    private static let grown = LiveSystem(
        ram: machine.ram.union(AddressRanges([AddressRange(start: 1 << 32, end: 0x1_1000_0000)])),
        cpus: NumberSet([0, 1, 2]))
    private static let exact = Coverage(live: machine, described: machine)
    private static let lossy = Coverage(live: grown, described: machine)
    private static let ghostly = Coverage(live: machine, described: grown)

    /// An image whose command line lacks `acpi_no_memhotplug`, whole or not.
    private static func image(_ integrity: ResidentImage.Integrity) throws -> ResidentImage {
        let image = try #require(try LoadedMachine().audit(.cheap).finding.value?.image)
        return ResidentImage(
            kimage: image.kimage, parts: image.parts, header: image.header, digest: image.digest,
            integrity: integrity, commandLine: image.commandLine)
    }

    /// Every combination, with the rows of one `Observation` varied one after the other.
    private static func observations() throws -> [Observation] {
        let memories = [
            HotplugMemory(isPossible: false, isPresent: false),
            HotplugMemory(isPossible: true, isPresent: false),
            HotplugMemory(isPossible: true, isPresent: true),
        ]
        var all = [
            Observation(
                architecture: .x86, live: .known(machine), reserved: .known([]),
                support: KernelSupport(isLoaded: nil), finding: .known(.nothing),
                coverage: .known(exact), grace: 1_000)
        ]
        func vary<Value>(
            _ part: WritableKeyPath<Observation, Value>, _ values: [Value]
        ) {
            all = all.flatMap { seen in
                values.map { value in
                    var seen = seen
                    seen[keyPath: part] = value
                    return seen
                }
            }
        }
        vary(\.architecture, [.x86, .power, .z])
        vary(\.live, [.known(machine), .unknown(because: "live")])
        vary(
            \.reserved,
            [.known([]), .known([AddressRange(start: 0, end: 1)]), .unknown(because: "")])
        vary(\.support, [true, false, nil].map { KernelSupport(isLoaded: $0) })
        vary(
            \.finding,
            [
                .known(.nothing), .known(.broken(because: "broken")),
                .known(.image(try image(.verified))), .known(.image(try image(.mismatch))),
                .unknown(because: "finding"),
            ])
        vary(\.coverage, [exact, lossy, ghostly].map { .known($0) } + [.unknown(because: "cover")])
        vary(\.keepsUp, [true, false, nil])
        vary(\.remembered, [machine, grown, nil])
        vary(\.expectsImage, [true, false])
        vary(\.hotplugMemory, memories)
        vary(\.staleFor, [0, 999, 1_000])
        return all
    }

    /// The table once more, as one rule a line; the two must agree everywhere.
    private func expected(_ seen: Observation) -> Verdict {
        let isThere = seen.support.isLoaded == true && seen.finding != .known(.nothing)
        switch (seen.support.isLoaded, isThere) {
        case (nil, _): return .unsupported
        case (_, false) where seen.reserved == .known([]): return .nothingReserved
        case (_, false): return seen.expectsImage ? .lost : .nothingLoaded
        case (_, true) where seen.architecture == .z: return .neverStale
        default: break
        }
        switch (seen.finding, seen.coverage) {
        case (.known(.broken(let reason)), _): return .broken(because: reason)
        case (.known(.image(let image)), _) where image.integrity == .mismatch:
            return .broken(because: "its digest does not match its contents")
        case (.known, .known(JudgementTests.exact)):
            let isLost = seen.hotplugMemory.isPresent
            return isLost ? .missingParameter([.leaveHotAddedMemoryAlone]) : .current
        case (.known, .known(let coverage)):
            return seen.keepsUp == true && seen.staleFor < 1_000
                ? .waiting(coverage) : .stale(coverage)
        case (.known, .unknown(let reason)), (.unknown(let reason), _):
            if seen.keepsUp == true { return .trusted(because: reason) }
            guard let live = seen.live.value, let remembered = seen.remembered else {
                return .unverified(because: reason)
            }
            return live == remembered
                ? .current : .stale(Coverage(live: live, described: remembered))
        }
    }

    @Test func everyCombination() throws {
        let all = try JudgementTests.observations()
        #expect(all.count == 3 * 2 * 3 * 3 * 5 * 4 * 3 * 3 * 2 * 3 * 3)
        let wrong = all.first { Verdict.judge($0) != expected($0) }
        #expect(wrong == nil)
    }

    @Test func whatAsksForARefreshWithoutAnOccasionIsWhatARefreshCures() {
        let curable: [Verdict] = [
            .lost, .stale(JudgementTests.lossy), .broken(because: ""),
            .missingParameter([.leaveHotAddedMemoryAlone]),
        ]
        let others: [Verdict] = [
            .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .current,
            .waiting(JudgementTests.lossy), .trusted(because: ""),
        ]
        for verdict in curable {
            #expect(verdict.needsRefresh(on: .routine) && verdict.needsRefresh(on: .hotplug))
        }
        for verdict in others {
            #expect(!verdict.needsRefresh(on: .routine) && !verdict.needsRefresh(on: .hotplug))
        }
        #expect(Verdict.unverified(because: "").needsRefresh(on: .hotplug))
        #expect(!Verdict.unverified(because: "").needsRefresh(on: .routine))
    }

    @Test func coverageNamesBothDirections() {
        let lossy = JudgementTests.lossy
        #expect(lossy.missingMemory.byteCount == 256 << 20 && lossy.missingCPUs == NumberSet([2]))
        #expect(lossy.phantomMemory.isEmpty && lossy.phantomCPUs.isEmpty)
        #expect(lossy.losesAnything && !lossy.isExact)
        let ghostly = JudgementTests.ghostly
        #expect(ghostly.phantomMemory.byteCount == 256 << 20)
        #expect(ghostly.phantomCPUs == NumberSet([2]))
        #expect(!ghostly.losesAnything && !ghostly.isExact)
        #expect(lossy.percentCovered(of: JudgementTests.grown.ram) == 79)
        #expect(ghostly.percentCovered(of: JudgementTests.machine.ram) == 100)
        #expect(JudgementTests.exact.isExact && !JudgementTests.exact.losesAnything)
    }
}
