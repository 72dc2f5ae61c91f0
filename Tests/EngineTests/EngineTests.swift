// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// The engine's way through its rooms where no load comes about; loads are tested in guests.
@Suite struct EngineTests {
    @Test func leavesARightImageAlone() throws {
        let machine = try RecordedMachine.withImage()
        var engine = machine.engine()
        let outcome = try engine.reconcile(on: .hotplug, verifies: true) { 0 }
        #expect(outcome.look.verdict == .current && outcome.end == .settled)
        #expect(engine.savedState.layout != nil, "found once a boot")
    }

    @Test func seesWhatAnImageLacks() throws {
        let machine = try RecordedMachine.withImage()
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        var engine = machine.engine()
        let outcome = try engine.reconcile(on: .routine) { 0 }
        guard case .stale(let coverage) = outcome.look.verdict else {
            Issue.record("\(outcome.look.verdict)")
            return
        }
        #expect(coverage.missingCPUs == NumberSet([2]) && coverage.missingMemory.isEmpty)
        #expect(outcome.end == .blocked(.noSource))
    }

    /// What is coming has no device yet, and what is going has none any more; neither is in use.
    @Test func doesNotMissWhatIsOnlyHalfThere() throws {
        let machine = try RecordedMachine.withImage()
        try machine.putOnline(0..<8)
        var engine = machine.engine()
        func look() throws -> Engine.Look { try engine.look(.cheap, now: { 0 }) }
        #expect(try look().verdict == .current && !look().observation.isUnsettled)
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        #expect(try look().verdict == .current && look().observation.isUnsettled)
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try machine.write(
            """
            00100000-3fffffff : System RAM
              10000000-100fffff : Crash kernel
            100000000-10fffffff : System RAM

            """, to: "/proc/iomem")
        #expect(try look().verdict == .current && look().observation.isUnsettled)
        try machine.write("online\n", to: "/sys/devices/system/memory/memory32/state")
        try machine.write("offline\n", to: "/sys/devices/system/memory/memory33/state")
        guard case .stale(let coverage) = try look().verdict else {
            Issue.record("\(try look().verdict)")
            return
        }
        #expect(coverage.missingMemory.byteCount == 0x800_0000)
        #expect(try !look().observation.isUnsettled)
    }

    /// Most events of a storm need no look.
    @Test func anEventThatChangesNothingNeedsNoLook() throws {
        let machine = try RecordedMachine.withImage()
        try machine.putOnline(0..<8)
        var engine = machine.engine()
        func isNew() -> Bool { !engine.seesNothingNew() }
        #expect(isNew(), "nothing was seen yet")
        _ = try engine.look(.cheap, now: { 0 })
        #expect(!isNew())
        try machine.putOnline(8..<9)
        #expect(!isNew(), "a block has come, and no RAM")
        _ = try engine.look(.cheap, now: { 0 })
        try FileManager.default.removeItem(
            atPath: machine.root.path("/sys/devices/system/memory/memory8"))
        #expect(isNew(), "a block has gone")
        _ = try engine.look(.cheap, now: { 0 })
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        #expect(isNew())
        _ = try engine.look(.cheap, now: { 0 })
        #expect(isNew(), "the image is stale")
    }

    @Test func aReloadWaitsInAStormAndNotAfterIt() throws {
        let machine = try RecordedMachine.withImage()
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        var engine = Engine(
            root: machine.root, source: nil, patches: false, architecture: .x86)
        let now: UInt64 = 5_000_000
        guard
            case .postponed(let time) = try engine.reconcile(on: .event, since: now, now: { now })
                .end
        else {
            Issue.record("not postponed")
            return
        }
        // A reload is taken to last a second, and a dump without a CPU for worth half.
        #expect(time == now + 2_000_000)
        #expect(try engine.reconcile(on: .event, now: { time }).end == .blocked(.noSource))
        #expect(try engine.reconcile(on: .hotplug, now: { now }).end == .blocked(.noSource))
    }

    /// RAM that is listed and not in use yet.
    @Test func memoryThatIsComingIsSeenAheadOfItsBlocks() throws {
        let machine = try RecordedMachine.withImage()
        try machine.putOnline(0..<8)
        var engine = machine.engine()
        #expect(try engine.look(.cheap, now: { 0 }).observation.ahead == nil)
        try machine.write(
            """
            00100000-3fffffff : System RAM
              10000000-100fffff : Crash kernel
            100000000-10fffffff : System RAM

            """, to: "/proc/iomem")
        let look = try engine.look(.cheap, now: { 0 })
        #expect(look.verdict == .current)
        #expect(look.observation.ahead?.coverage.missingMemory.byteCount == 0x1000_0000)
        let isAsBefore = engine.seesNothingNew()
        #expect(!isAsBefore)
    }

    /// Blocks whose coming needed no look are known all the same when they go.
    @Test(arguments: [1, 2]) func memoryThatLeavesIsToldFromMemoryThatComes(blocks: Int) throws {
        let machine = try RecordedMachine.withImage()
        try machine.putOnline(0..<6)
        var engine = machine.engine()
        _ = try engine.look(.cheap, now: { 0 })
        try machine.putOnline(6..<6 + blocks)
        let isAsBefore = engine.seesNothingNew()
        try FileManager.default.removeItem(
            atPath: machine.root.path("/sys/devices/system/memory/memory6"))
        let isStillAsBefore = engine.seesNothingNew()
        #expect(isAsBefore && !isStillAsBefore)
        let ahead = try engine.look(.cheap, now: { 0 }).observation.ahead
        // As long as one is still to come, nobody knows which way the other was going.
        #expect(ahead?.coverage.phantomMemory.byteCount == (blocks == 2 ? 0x800_0000 : nil))
    }

    @Test func givesAKernelThatKeepsUpAMoment() throws {
        let machine = try RecordedMachine.withImage { $0.kimage?.keepsUp = true }
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        var engine = machine.engine()
        for time in [5_000_000, 5_099_999] as [UInt64] {
            #expect(
                name(of: try engine.reconcile(on: .routine, now: { time }).look.verdict)
                    == "waiting")
        }
        #expect(try engine.reconcile(on: .routine) { 5_100_000 }.end == .blocked(.noSource))
        // The kernel saw to it after all; the next time it is given its moment again.
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        #expect(try engine.reconcile(on: .routine) { 7_000_000 }.look.verdict == .current)
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        #expect(
            name(of: try engine.reconcile(on: .routine, now: { 9_000_000 }).look.verdict)
                == "waiting")
    }

    @Test func reportsFilesThatCannotBeRead() throws {
        let machine = try RecordedMachine(["/sys/kernel/kexec_crash_loaded/file": ""])
        var engine = machine.engine()
        #expect(throws: SystemError.self) { try engine.look(.cheap, now: { 0 }) }
    }
}
