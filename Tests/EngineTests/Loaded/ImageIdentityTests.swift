// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// An image that another program loads again while it is looked at: its books are equal.
@Suite struct ImageIdentityTests {
    private let reserved = AddressRanges([LoadedMachine.reserved])

    /// The same machine after another load of the same files: the kernel puts a new seed for random
    /// numbers into each image, and so its digest is another one.
    private func loadedAgain(_ machine: LoadedMachine) throws -> LoadedMachine {
        var again = machine
        again.put([0x5A], at: LoadedMachine.parameters.start + 0x800)
        try again.writeDigest(LoadedMachine.segments.filter { $0 != LoadedMachine.purgatory })
        return again
    }

    @Test func isNotDamagedWhereTheDigestIsComputedMeanwhile() throws {
        let machine = try LoadedMachine()
        let again = try loadedAgain(machine)
        let recorded = try machine.recorded()
        var audit = Audit(below: recorded.root, architecture: .x86)
        var report = audit.run(
            reserved: reserved.ranges, live: machine.live, notes: machine.notes)
        let layout = try #require(audit.layout)
        var work = try #require(report.work)
        var tries = Tries()
        var pieces = 0
        let error = failure { () throws(Unknowable) in
            try report.computeDigest(
                by: &work, below: recorded.root, laidOut: layout, within: reserved, tries: &tries,
                beat: {
                    pieces += 1
                    if pieces == 2 { _ = try? recorded.file("/proc/kcore", Data(again.kcore)) }
                })
        }
        #expect(error == Kimage.replaced && pieces > 2)
        #expect(try again.audit().finding.value?.image?.integrity == .verified)
    }

    @Test func isNotPatchedByAPlanForTheOneBefore() throws {
        var machine = try LoadedMachine()
        machine.ram.append(AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000))
        let report = try machine.audit()
        let seen = Observation(
            architecture: .x86, live: .known(machine.live), notes: machine.notes,
            reserved: .known(reserved.ranges),
            support: KernelSupport(isLoaded: true), finding: report.finding,
            coverage: report.coverage(of: machine.live))
        let plan = try PatchPlan(for: seen)
        var other = machine
        other.kimage?.controlPage = 0x1000_9000
        let all = [(machine, true), (try loadedAgain(machine), false), (other, false)]
        for (machine, isSame) in all {
            let recorded = try machine.recorded()
            let patch = try Patch.prepare(
                plan, below: recorded.root, laidOut: KernelLayout(of: recorded.root),
                within: reserved)
            #expect((patch != nil) == isSame)
        }
    }

    /// Where nothing in reserved memory tells them apart, the place of the kernel's books may.
    @Test func hasAPlaceOfItsOwn() throws {
        let machine = try LoadedMachine()
        let recorded = try machine.recorded()
        let layout = try KernelLayout(of: recorded.root)
        let image = try #require(try machine.audit(.cheap).finding.value?.image)
        func isLoaded() throws -> Bool {
            try Kcore.observe(below: recorded.root) { kcore throws(Unknowable) in
                try image.identity.isLoaded(in: kcore, laidOut: layout, within: reserved)
            }
        }
        #expect(try isLoaded())
        var kcore = machine.kcore
        kcore.replaceSubrange(0x1800..<0x1C00, with: kcore[0x1100..<0x1500])
        kcore.set(0xFFFF_FFFF_8200_0800 as UInt64, at: 0x1040)
        _ = try recorded.file("/proc/kcore", Data(kcore))
        #expect(try !isLoaded())
    }
}
