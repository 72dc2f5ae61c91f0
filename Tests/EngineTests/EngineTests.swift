// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// The engine's way through its rooms where no load comes about; loads are tested in guests.
@Suite struct EngineTests {
    /// A synthetic machine with an image that can be audited, in the files of a real one.
    private func machine(_ adjust: (inout LoadedMachine) throws -> Void = { _ in }) throws
        -> RecordedMachine
    {
        var loaded = try LoadedMachine()
        try adjust(&loaded)
        let machine = try loaded.recorded()
        try machine.write(
            """
            00100000-3fffffff : System RAM
              10000000-100fffff : Crash kernel

            """, to: "/proc/iomem")
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        return machine
    }

    private func engine(
        _ machine: RecordedMachine, _ savedState: Engine.SavedState = Engine.SavedState()
    )
        -> Engine
    {
        Engine(root: machine.root, source: nil, savedState: savedState, architecture: .x86)
    }

    /// Gives the machine memory blocks of 128 MiB.
    private func putOnline(_ blocks: Range<Int>, of machine: RecordedMachine) throws {
        let folder = "/sys/devices/system/memory"
        try machine.write("8000000\n", to: "\(folder)/block_size_bytes")
        for block in blocks {
            try machine.write("online\n", to: "\(folder)/memory\(block)/state")
        }
    }

    @Test func leavesARightImageAlone() throws {
        let machine = try machine()
        var engine = engine(machine)
        let outcome = try engine.reconcile(on: .hotplug, verifies: true) { 0 }
        #expect(outcome.look.verdict == .current && outcome.end == .settled)
        #expect(engine.savedState.layout != nil, "found once a boot")
    }

    @Test func seesWhatAnImageLacks() throws {
        let machine = try machine()
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        var engine = engine(machine)
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
        let machine = try machine()
        try putOnline(0..<8, of: machine)
        var engine = engine(machine)
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
        let machine = try machine()
        try putOnline(0..<8, of: machine)
        var engine = engine(machine)
        func isNew() -> Bool { !engine.seesNothingNew() }
        #expect(isNew(), "nothing was seen yet")
        _ = try engine.look(.cheap, now: { 0 })
        #expect(!isNew())
        try putOnline(8..<9, of: machine)
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
        let machine = try machine()
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
        let machine = try machine()
        try putOnline(0..<8, of: machine)
        var engine = engine(machine)
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
        let machine = try machine()
        try putOnline(0..<6, of: machine)
        var engine = engine(machine)
        _ = try engine.look(.cheap, now: { 0 })
        try putOnline(6..<6 + blocks, of: machine)
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
        let machine = try machine { $0.kimage?.keepsUp = true }
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        var engine = engine(machine)
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

    @Test func knowsBothWays() throws {
        let machine = try machine()
        var engine = engine(machine)
        let ways = engine.ways(given: try engine.look(.thorough, now: { 0 }))
        #expect(ways.patch == nil && ways.reload == .noSource && ways.obstacle == nil)
        var careful = Engine(
            root: machine.root, source: nil, patches: false, architecture: .x86)
        let barred = careful.ways(given: try careful.look(.cheap, now: { 0 }))
        #expect(barred.patch == .switchedOff && barred.obstacle == .noSource)
    }

    /// ENOSYS, EPERM and EACCES are the machine's word; all others are about one image.
    @Test(arguments: [(38, true), (1, true), (13, true), (22, false), (12, false), (16, false)])
    func doesNotTryAgainWhatIsForbidden(errno: Int32, isLasting: Bool) throws {
        #expect((PatchObstacle(lastingRefusal: errno) != nil) == isLasting)
        var state = Engine.SavedState()
        state.refusal = 1
        let machine = try machine()
        var engine = engine(machine, state)
        let ways = engine.ways(given: try engine.look(.thorough, now: { 0 }))
        #expect(ways.patch == .refused(errno: 1) && ways.obstacle == .noSource)
    }

    /// A failure after the drop could not be made good.
    @Test func keepsTheLastLoadForWhatADumpWouldLose() throws {
        let machine = try machine()
        try machine.write("1\n", to: "/proc/sys/kernel/kexec_load_limit_panic")
        var engine = engine(machine)
        func ways() throws -> Engine.Ways {
            engine.ways(given: try engine.look(.thorough, now: { 0 }))
        }
        #expect(try ways().patch == nil, "current: whatever may come")
        try machine.write("0\n", to: "/sys/devices/system/cpu/present")
        #expect(try ways() == Engine.Ways(patch: .lastLoad, reload: .lastLoad))
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .blocked(.lastLoad))
        try machine.write("2\n", to: "/proc/sys/kernel/kexec_load_limit_panic")
        #expect(try ways().patch == nil)
        try machine.write("1\n", to: "/proc/sys/kernel/kexec_load_limit_panic")
        try machine.write("0,2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        #expect(try ways().patch == nil, "a CPU is missing, too")
    }

    @Test func findsDamageOnlyWhereItLooksForIt() throws {
        let machine = try machine { loaded in
            loaded.put([0xFF], at: LoadedMachine.kernel.start + 0x100)
        }
        var engine = engine(machine)
        #expect(try engine.look(.cheap, now: { 0 }).verdict == .current)
        #expect(name(of: try engine.look(.thorough, now: { 0 }).verdict) == "broken")
    }

    /// The next hotplug, and who asks for it, get another attempt; nobody else does.
    @Test func triesAgainWhatDidNotHelpOnlyWhenSomethingChanges() throws {
        let machine = try machine { loaded in
            let zeros = [UInt8](repeating: 0, count: 64)
            loaded.put(zeros, at: LoadedMachine.header.start)
        }
        var first = engine(machine)
        let look = try first.look(.cheap) { 0 }
        #expect(name(of: look.verdict) == "broken" && !first.ways(given: look).didNotHelp)
        for (trigger, end) in [
            (.routine, .uncured), (.request, .blocked(.noSource)), (.hotplug, .blocked(.noSource)),
        ] as [(Trigger, Engine.End)] {
            var savedState = Engine.SavedState()
            savedState.uncured = look.verdict
            // It survives a restart.
            let bytes = try JSONEncoder().encode(savedState)
            savedState = try JSONDecoder().decode(Engine.SavedState.self, from: bytes)
            var engine = engine(machine, savedState)
            let outcome = try engine.reconcile(on: trigger) { 0 }
            #expect(outcome.end == end, "\(trigger)")
            #expect(engine.ways(given: outcome.look).didNotHelp == (end == .uncured))
        }
    }

    /// A change that makes no event, such as another image, gets another attempt too.
    @Test func triesAgainWhenTheVerdictChanges() throws {
        var savedState = Engine.SavedState()
        savedState.uncured = .broken(because: "another reason")
        let machine = try machine { loaded in
            loaded.put([UInt8](repeating: 0, count: 64), at: LoadedMachine.header.start)
        }
        var engine = engine(machine, savedState)
        #expect(try engine.reconcile(on: .routine) { 0 }.end == .blocked(.noSource))
        #expect(engine.savedState.uncured == nil)
    }

    @Test func leavesAnUnprotectedMachineAlone() throws {
        let machine = try machine()
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var engine = engine(machine)
        let outcome = try engine.reconcile(on: .hotplug) { 0 }
        #expect(outcome.look.verdict == .nothingLoaded)
        #expect(outcome.end == .settled && outcome.refreshes.isEmpty)
    }

    @Test func goesByMemoryWhereItCannotLook() throws {
        let machine = try machine()
        try machine.remove("/proc/kcore")
        var stranger = engine(machine)
        #expect(try stranger.reconcile(on: .hotplug) { 0 }.end == .blocked(.noSource))
        #expect(try stranger.reconcile(on: .routine) { 0 }.end == .settled)
        var savedState = Engine.SavedState()
        savedState.described = LiveView(of: machine.root, on: .x86).system.value
        var engine = engine(machine, savedState)
        #expect(try engine.reconcile(on: .hotplug) { 0 }.look.verdict == .current)
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        #expect(name(of: try engine.look(.cheap, now: { 0 }).verdict) == "stale")
        // An image that somebody unloaded is not remembered when another one comes.
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        #expect(try engine.reconcile(on: .hotplug) { 0 }.look.verdict == .nothingLoaded)
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        #expect(name(of: try engine.look(.cheap, now: { 0 }).verdict) == "unverified")
        try machine.write("1\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(name(of: try engine.look(.cheap, now: { 0 }).verdict) == "trusted")
    }

    /// Asking takes the kexec lock, and a no may mean that somebody else had it.
    @Test func believesANoOnlyAfterAWhile() throws {
        let machine = try machine()
        try machine.remove("/proc/kcore")
        try machine.write("0\n", to: "/sys/devices/system/memory/crash_hotplug")
        var engine = engine(machine)
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .busy)
        #expect(try engine.reconcile(on: .hotplug) { Engine.doubt - 1 }.end == .busy)
        #expect(
            try engine.reconcile(on: .hotplug) { Engine.doubt }.end == .blocked(.noSource))
        try machine.write("1\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .settled)
        try machine.write("0\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .busy)
        // What it said of one image says nothing of the next.
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        _ = try engine.reconcile(on: .routine) { Engine.doubt }
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        #expect(try engine.reconcile(on: .hotplug) { 2 * Engine.doubt }.end == .busy)
    }

    /// A kernel that updates the image takes it away for as long as it writes.
    @Test func anImageThatIsGoneForAnInstantIsNotLost() throws {
        let machine = try machine()
        var engine = engine(machine)
        let seen = try engine.look(.cheap, now: { 0 }).verdict
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var times = 0
        let again = try engine.look(.cheap) {
            times += 1
            // The first look has ended.
            if times == 2 { try? machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded") }
            return 0
        }
        #expect(again.verdict == seen && seen != .nothingLoaded)
    }

    @Test func keepsTryingAfterALossOfItsOwn() throws {
        let machine = try machine()
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var savedState = Engine.SavedState()
        savedState.expectsImage = true
        var engine = engine(machine, savedState)
        #expect(try engine.reconcile(on: .routine) { 0 }.end == .blocked(.noSource))
        #expect(engine.savedState.expectsImage)
        // Somebody else loaded one: the loss is over.
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        _ = try engine.reconcile(on: .routine) { 0 }
        #expect(!engine.savedState.expectsImage)
    }

    @Test func remembersTheCommandLineOfAnImageThatALoadLost() throws {
        let machine = try machine()
        var engine = engine(machine)
        _ = try engine.reconcile(on: .routine) { 0 }
        #expect(engine.savedState.commandLine == "console=ttyS0 nr_cpus=1")
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var savedState = engine.savedState
        savedState.expectsImage = true
        var loser = self.engine(machine, savedState)
        _ = try loser.reconcile(on: .routine) { 0 }
        #expect(loser.savedState.commandLine == "console=ttyS0 nr_cpus=1")
        // What an administrator unloaded says nothing of the next one.
        _ = try engine.reconcile(on: .routine) { 0 }
        #expect(engine.savedState.commandLine == nil)
    }

    @Test func reportsFilesThatCannotBeRead() throws {
        let machine = try RecordedMachine(["/sys/kernel/kexec_crash_loaded/file": ""])
        var engine = engine(machine)
        #expect(throws: SystemError.self) { try engine.look(.cheap, now: { 0 }) }
    }
}
