// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// What prevents an attempt to bring an image up to date, and what is not attempted again.
@Suite struct AttemptTests {
    @Test func knowsBothWays() throws {
        let machine = try RecordedMachine.withImage()
        var engine = machine.engine()
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
        let machine = try RecordedMachine.withImage()
        var engine = machine.engine(state)
        let ways = engine.ways(given: try engine.look(.thorough, now: { 0 }))
        #expect(ways.patch == .refused(errno: 1) && ways.obstacle == .noSource)
    }

    /// A failure after the drop could not be made good.
    @Test func keepsTheLastLoadForWhatADumpWouldLose() throws {
        let machine = try RecordedMachine.withImage()
        try machine.write("1\n", to: "/proc/sys/kernel/kexec_load_limit_panic")
        var engine = machine.engine()
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
        let machine = try RecordedMachine.withImage { loaded in
            loaded.put([0xFF], at: LoadedMachine.kernel.start + 0x100)
        }
        var engine = machine.engine()
        #expect(try engine.look(.cheap, now: { 0 }).verdict == .current)
        #expect(name(of: try engine.look(.thorough, now: { 0 }).verdict) == "broken")
    }

    /// The next hotplug, and who asks for it, get another attempt; nobody else does.
    @Test func triesAgainWhatDidNotHelpOnlyWhenSomethingChanges() throws {
        let machine = try RecordedMachine.withImage { loaded in
            let zeros = [UInt8](repeating: 0, count: 64)
            loaded.put(zeros, at: LoadedMachine.header.start)
        }
        var first = machine.engine()
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
            var engine = machine.engine(savedState)
            let outcome = try engine.reconcile(on: trigger) { 0 }
            #expect(outcome.end == end, "\(trigger)")
            #expect(engine.ways(given: outcome.look).didNotHelp == (end == .uncured))
        }
    }

    /// A change that makes no event, such as another image, gets another attempt too.
    @Test func triesAgainWhenTheVerdictChanges() throws {
        var savedState = Engine.SavedState()
        savedState.uncured = .broken(because: "another reason")
        let machine = try RecordedMachine.withImage { loaded in
            loaded.put([UInt8](repeating: 0, count: 64), at: LoadedMachine.header.start)
        }
        var engine = machine.engine(savedState)
        #expect(try engine.reconcile(on: .routine) { 0 }.end == .blocked(.noSource))
        #expect(engine.savedState.uncured == nil)
    }
}
