// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// Patches of synthetic machines, applied to their memory as the kernel would; never to this one's.
@Suite struct PatchTests {
    private let dimm = AddressRange(start: 0x1_0000_0000, end: 0x1_1000_0000)

    /// What an engine would see of a machine.
    private func observe(
        _ machine: LoadedMachine, _ adjust: (inout Observation) -> Void = { _ in }
    ) throws -> Observation {
        let report = try machine.audit()
        var seen = Observation(
            architecture: .x86, live: .known(machine.live), notes: machine.notes,
            reserved: .known([LoadedMachine.reserved]),
            support: KernelSupport(isLoaded: true), finding: report.finding,
            coverage: report.coverage(of: machine.live))
        adjust(&seen)
        return seen
    }

    private func plan(_ machine: LoadedMachine) throws -> PatchPlan {
        try PatchPlan(for: observe(machine))
    }

    /// Does to a machine's memory and `struct kimage` what the kernel would do for the patch.
    private func apply(_ plan: PatchPlan, to machine: inout LoadedMachine) throws {
        let recorded = try machine.recorded()
        let patch = try #require(
            try Patch.prepare(
                plan, below: recorded.root, laidOut: KernelLayout(of: recorded.root),
                within: AddressRanges([LoadedMachine.reserved])))
        for segment in patch.segments {
            let zeros = Int(segment.range.byteCount) - segment.bytes.count
            #expect(zeros >= 0)
            let bytes = segment.bytes.contents + [UInt8](repeating: 0, count: zeros)
            machine.put(bytes, at: segment.range.start)
        }
        machine.kimage?.listed = patch.segments.map(\.range)
        machine.kimage?.isFromFiles = false
    }

    @Test(arguments: [true, false]) func makesAnImageRightAgainAndAgain(covered: Bool) throws {
        var machine = try LoadedMachine(coveringHeader: covered)
        let untouched = [LoadedMachine.kernel, LoadedMachine.initrd, LoadedMachine.parameters]
        let before = untouched.map { Array(machine.bytes($0)) }
        for round in 0..<5 {
            if round % 2 == 0 { machine.ram.append(dimm) } else { machine.ram.removeLast() }
            let stale = try #require(try observe(machine).coverage.value)
            #expect(!stale.isExact)
            let plan = try plan(machine)
            #expect(plan.edits.contains { !$0.isSegment } == (covered && round == 0))
            #expect(plan.copies.isEmpty == !(covered && round == 0))
            try apply(plan, to: &machine)
            let report = try machine.audit()
            let image = try #require(report.finding.value?.image)
            #expect(image.integrity == .verified && !image.digestCoversHeader)
            #expect(report.coverage(of: machine.live).value?.isExact == true)
            #expect(image.sparesItsParts(in: LoadedMachine.reserved))
            #expect(untouched.map { Array(machine.bytes($0)) } == before)
        }
    }

    @Test func givesDamageNoDigest() throws {
        var machine = try LoadedMachine()
        machine.put([0], at: LoadedMachine.kernel.start + 5)
        machine.ram.append(dimm)
        #expect(throws: PatchObstacle.digestNotUnderstood) { try plan(machine) }
    }

    @Test func knowsWhatBarsIt() throws {
        let machine = try LoadedMachine()
        func obstacle(_ adjust: (inout Observation) -> Void) throws -> PatchObstacle? {
            let seen = try observe(machine, adjust)
            return failure { () throws(PatchObstacle) in try PatchPlan(for: seen) }
        }
        #expect(throws: Never.self) { try PatchPlan(for: observe(machine)) }
        #expect(try obstacle { $0.architecture = .riscv64 } == .architecture(.riscv64))
        let locked = KernelSupport(isLoaded: true, lockdown: .integrity)
        #expect(try obstacle { $0.support = locked } == .lockedDown)
        let disabled = KernelSupport(isLoaded: true, loadingDisabled: true)
        #expect(try obstacle { $0.support = disabled } == .loadingDisabled)
        let spent = KernelSupport(isLoaded: true, loadsLeft: 0)
        #expect(try obstacle { $0.support = spent } == .noLoadsLeft)
        #expect(
            try obstacle { $0.live = .unknown(because: "x") } == .machineNotKnown(because: "x"))
        #expect(
            try obstacle { $0.finding = .unknown(because: "x") }
                == .imageNotUnderstood(because: "x"))
        let many = AddressRanges(
            (0..<200).map { AddressRange(start: $0 << 30, end: $0 << 30 | 0x1000) })
        let crowd = LiveSystem(ram: many, cpus: NumberSet([0, 1]))
        let tooLarge = try obstacle { $0.live = .known(crowd) }
        #expect(tooLarge?.description.contains("room for 8 KiB") == true)
    }

    /// They are never listed: a copy of what the kernel hides would be zeros.
    @Test func neverTouchesKeys() throws {
        var machine = try LoadedMachine()
        try machine.addKeys()
        let before = machine.bytes(LoadedMachine.keys)
        machine.hideKeys()
        machine.ram.append(dimm)
        let plan = try plan(machine)
        #expect(!plan.copies.contains { $0.overlaps(LoadedMachine.keys) })
        #expect(!plan.edits.contains { $0.range.overlaps(LoadedMachine.keys) })
        try apply(plan, to: &machine)
        // The kernel hides them no longer.
        machine.put(Array(before), at: LoadedMachine.keys.start)
        let image = try #require(try machine.audit().finding.value?.image)
        #expect(image.integrity == .verified && image.holdsTargetKeys == true)
        #expect(!image.hidesTargetKeys && image.sparesItsParts(in: LoadedMachine.reserved))
    }

    /// A kernel that does not update the header has it under the digest, which nobody can compute.
    @Test func needsNoDigestOverKeys() throws {
        var machine = try LoadedMachine()
        try machine.addKeys(coveringHeader: true)
        machine.hideKeys()
        machine.ram.append(dimm)
        #expect(throws: PatchObstacle.digestNotUnderstood) { try plan(machine) }
    }

    /// What is known to be resident and not where may be hit by the kernel's own pages.
    @Test func refusesKeysInAnUnknownPlace() throws {
        var machine = try LoadedMachine()
        try machine.addKeys(at: LoadedMachine.keys.start + 16)
        machine.ram.append(dimm)
        #expect(
            throws: PatchObstacle.imageNotUnderstood(
                because: "its keys of the dump target are in no part of it")
        ) { try plan(machine) }
    }

    @Test func everyObstacleIsOneSentence() {
        let all: [PatchObstacle] = [
            .switchedOff, .architecture(.arm64), .lockedDown, .loadingDisabled, .noLoadsLeft,
            .encryptedTarget, .imageNotUnderstood(because: "it is hidden"), .digestNotUnderstood,
            .machineNotKnown(because: "it is hidden"), .headerTooLarge(needed: 2, room: 1),
            .holeTooSmall(needed: 2, free: 1), .failedBefore,
        ]
        for obstacle in all {
            #expect(!obstacle.description.contains("\n") && obstacle.description.count < 150)
            #expect(obstacle.description.last != ".")
        }
    }
}
