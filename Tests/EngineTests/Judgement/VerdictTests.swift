// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// The table of verdicts.
///
/// Each row fixes what the verdict depends on, and holds whatever all else is.
@Suite struct VerdictTests {
    static let machine = LiveSystem(
        ram: AddressRanges([AddressRange(start: 0x10_0000, end: 0x4000_0000)]),
        cpus: NumberSet([0, 1]))
    static let grown = LiveSystem(
        ram: machine.ram.union(AddressRanges([AddressRange(start: 1 << 32, end: 0x1_1000_0000)])),
        cpus: NumberSet([0, 1, 2]))
    static let exact = Coverage(live: machine, described: machine)
    static let lossy = Coverage(live: grown, described: machine)
    static let ghostly = Coverage(live: machine, described: grown)
    static let need = CaptureNeed.leaveHotAddedMemoryAlone

    /// A part of what is observed, and the values it is given where a row leaves it free.
    enum Part: CaseIterable {
        case reserve, expectation, stale, image, coverage, remembered, lacks, kernel, age

        var values: [(inout Facts) -> Void] {
            switch self {
            case .reserve: [{ $0.isReserved = true }, { $0.isReserved = false }]
            case .expectation: [{ $0.expectsImage = false }, { $0.expectsImage = true }]
            case .stale: [{ $0.imagesGoStale = true }, { $0.imagesGoStale = false }]
            case .image:
                [
                    { $0.image = .known(.readable(isDamaged: false)) },
                    { $0.image = .known(.readable(isDamaged: true)) },
                    { $0.image = .known(.broken(because: "x")) },
                    { $0.image = .unknown(because: "y") },
                ]
            case .coverage:
                [exact, lossy, ghostly].map { coverage in { $0.coverage = .known(coverage) } }
                    + [{ $0.coverage = .unknown(because: "z") }]
            case .remembered:
                [exact, lossy, nil].map { coverage in { $0.rememberedCoverage = coverage } }
            case .lacks:
                [
                    [], [CaptureNeed.Lack(need: need, urgency: .soon)],
                    [CaptureNeed.Lack(need: need, urgency: .now)],
                ]
                .map { lacks in { $0.lacks = lacks } }
            case .kernel: [true, false, nil].map { answer in { $0.keepsUp = answer } }
            case .age: [0, 999, 1_000].map { age in { $0.staleFor = age } }
            }
        }
    }

    /// One line of the table.
    struct Row {
        let verdict: Verdict
        /// What may be anything.
        let free: Set<Part>
        /// What it depends on.
        let fix: (inout Facts) -> Void

        init(_ verdict: Verdict, free: Set<Part>, _ fix: @escaping (inout Facts) -> Void) {
            self.verdict = verdict
            self.free = free
            self.fix = fix
        }

        /// Every combination of what may be anything.
        var all: [Facts] {
            var all = [Facts(coverage: .known(exact), grace: 1_000)]
            for part in Part.allCases where free.contains(part) {
                all = all.flatMap { facts in
                    part.values.map { change in
                        var facts = facts
                        change(&facts)
                        return facts
                    }
                }
            }
            return all.map { facts in
                var facts = facts
                fix(&facts)
                return facts
            }
        }
    }

    static let everything = Set(Part.allCases)
    static let unseen = everything.subtracting([.stale, .kernel, .image, .remembered])
    static let seen = everything.subtracting([.stale, .image, .coverage])

    static var table: [Row] {
        [
            Row(.leftToFirmware, free: everything) {
                ($0.isLoaded, $0.image, $0.isDumpedByFirmware) = (false, .known(.nothing), true)
            },
            Row(.leftToFirmware, free: everything) { $0.isDumpedByFirmware = true },
            Row(.unsupported, free: everything) { $0.isLoaded = nil },
            Row(.nothingReserved, free: everything) {
                ($0.isLoaded, $0.isReserved) = (false, false)
            },
            Row(.nothingReserved, free: everything) {
                ($0.image, $0.isReserved) = (.known(.nothing), false)
            },
            Row(.lost, free: everything) {
                ($0.isLoaded, $0.isReserved, $0.expectsImage) = (false, true, true)
            },
            Row(.nothingLoaded, free: everything) {
                ($0.isLoaded, $0.isReserved, $0.expectsImage) = (false, true, false)
            },
            Row(.nothingLoaded, free: everything) {
                ($0.image, $0.isReserved, $0.expectsImage) = (.known(.nothing), true, false)
            },
            Row(.neverStale, free: everything) { $0.imagesGoStale = false },
            Row(.broken(because: "why"), free: everything.subtracting([.stale])) {
                $0.image = .known(.broken(because: "why"))
            },
            Row(
                .broken(because: "its digest does not match its contents"),
                free: everything.subtracting([.stale])
            ) { $0.image = .known(.readable(isDamaged: true)) },
            Row(.current, free: seen.subtracting([.lacks])) { $0.coverage = .known(exact) },
            Row(.current, free: seen.subtracting([.lacks])) {
                $0.lacks = [CaptureNeed.Lack(need: need, urgency: .soon)]
            },
            Row(.missingParameter([need]), free: seen.subtracting([.lacks])) {
                $0.lacks = [CaptureNeed.Lack(need: need, urgency: .now)]
            },
            Row(.waiting(lossy), free: seen.subtracting([.kernel, .age])) {
                ($0.coverage, $0.keepsUp, $0.staleFor) = (.known(lossy), true, 999)
            },
            Row(.stale(lossy), free: seen.subtracting([.kernel, .age])) {
                ($0.coverage, $0.keepsUp, $0.staleFor) = (.known(lossy), true, 1_000)
            },
            // No kernel takes out later what is gone.
            Row(.stale(ghostly), free: seen.subtracting([.kernel, .age])) {
                ($0.coverage, $0.keepsUp, $0.staleFor) = (.known(ghostly), true, 0)
            },
            Row(.stale(ghostly), free: seen.subtracting([.kernel])) {
                ($0.coverage, $0.keepsUp) = (.known(ghostly), false)
            },
            Row(.stale(ghostly), free: seen.subtracting([.kernel])) {
                ($0.coverage, $0.keepsUp) = (.known(ghostly), nil)
            },
            Row(.trusted(because: "why"), free: unseen.union([.remembered])) {
                ($0.image, $0.keepsUp) = (.unknown(because: "why"), true)
            },
            Row(
                .trusted(because: "why"), free: unseen.union([.remembered]).subtracting([.coverage])
            ) {
                ($0.coverage, $0.keepsUp) = (.unknown(because: "why"), true)
            },
            // Not even where it is remembered: the kernel may have written since.
            Row(.unverified(because: "why"), free: unseen.union([.remembered])) {
                ($0.image, $0.keepsUp, $0.isEncrypted) = (.unknown(because: "why"), true, true)
            },
            Row(.unverified(because: "why"), free: unseen) {
                ($0.image, $0.keepsUp) = (.unknown(because: "why"), false)
            },
            Row(.current, free: unseen) {
                ($0.image, $0.rememberedCoverage) = (.unknown(because: "why"), exact)
            },
            Row(.stale(lossy), free: unseen) {
                ($0.image, $0.rememberedCoverage) = (.unknown(because: "why"), lossy)
            },
        ]
    }

    @Test func everyRow() {
        for row in VerdictTests.table {
            let wrong = row.all.first { Verdict.judge($0) != row.verdict }
            #expect(wrong == nil, "\(row.verdict)")
        }
    }

    /// What follows from a verdict: a refresh at a routine look, one after a hotplug, loads where the
    /// kernel updates the image itself and where it does not, a patch.
    @Test func policy() {
        let (lossy, need) = (VerdictTests.lossy, VerdictTests.need)
        let table: [(Verdict, String)] = [
            (.unsupported, "-----"), (.nothingReserved, "-----"), (.nothingLoaded, "-----"),
            (.neverStale, "-----"), (.leftToFirmware, "-----"), (.trusted(because: ""), "-----"),
            (.current, "---np"),
            (.waiting(lossy), "---np"), (.stale(lossy), "rhknp"), (.lost, "rhkn-"),
            (.broken(because: ""), "rhkn-"), (.missingParameter([need]), "rhkn-"),
            (.unverified(because: ""), "-hkn-"),
        ]
        for (verdict, expected) in table {
            let marks: [(Bool, Character)] = [
                (verdict.needsRefresh(on: .routine), "r"),
                (verdict.needsRefresh(on: .hotplug), "h"),
                (verdict.needsLoads(keptUp: true), "k"),
                (verdict.needsLoads(keptUp: false), "n"), (verdict.isPatchable, "p"),
            ]
            #expect(String(marks.map { $0.0 ? $0.1 : "-" }) == expected, "\(verdict)")
            #expect(verdict.needsRefresh(on: .request) == verdict.needsRefresh(on: .routine))
            let never: [Verdict] = [.unsupported, .neverStale, .leftToFirmware]
            #expect(verdict.mayNeedReload != never.contains(verdict))
        }
    }

    @Test func coverageNamesBothDirections() {
        let (lossy, ghostly) = (VerdictTests.lossy, VerdictTests.ghostly)
        #expect(lossy.missingMemory.byteCount == 256 << 20 && lossy.missingCPUs == NumberSet([2]))
        #expect(lossy.phantomMemory.isEmpty && lossy.phantomCPUs.isEmpty)
        #expect(lossy.losesAnything && !lossy.isExact)
        #expect(ghostly.phantomMemory.byteCount == 256 << 20)
        #expect(ghostly.phantomCPUs == NumberSet([2]))
        #expect(!ghostly.losesAnything && !ghostly.isExact)
        #expect(lossy.percentCovered(of: VerdictTests.grown.ram) == 79)
        #expect(ghostly.percentCovered(of: VerdictTests.machine.ram) == 100)
        #expect(VerdictTests.exact.isExact && !VerdictTests.exact.losesAnything)
    }

    /// What an observation hands on to judgement.
    @Test func factsAreWhatWasSeen() {
        var seen = Observation(
            architecture: .s390x, live: .known(VerdictTests.grown), reserved: .known([]),
            support: KernelSupport(isLoaded: false), finding: .known(.broken(because: "why")),
            coverage: .known(VerdictTests.exact), remembered: VerdictTests.machine,
            expectsImage: true, staleFor: 1, grace: 2)
        #expect(!seen.facts.imagesGoStale && !seen.facts.isReserved && seen.facts.expectsImage)
        #expect(seen.facts.isLoaded == false && seen.facts.lacks.isEmpty)
        #expect(seen.facts.rememberedCoverage == VerdictTests.lossy)
        #expect(seen.facts.staleFor == 1 && seen.facts.grace == 2 && seen.facts.keepsUp == nil)
        guard case .known(.broken(because: "why")) = seen.facts.image else {
            Issue.record("\(seen.facts.image)")
            return
        }
        seen.reserved = .unknown(because: "why")
        #expect(seen.facts.isReserved, "not known to be missing")
        seen.live = .unknown(because: "why")
        #expect(seen.facts.rememberedCoverage == nil)
    }
}
