// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What the engine makes of an image that is gone, or that it cannot look at.
@Suite struct AbsentImageTests {
    @Test func leavesAnUnprotectedMachineAlone() throws {
        let machine = try RecordedMachine.withImage()
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var engine = machine.engine()
        let outcome = try engine.reconcile(on: .hotplug) { 0 }
        #expect(outcome.look.verdict == .nothingLoaded)
        #expect(outcome.end == .settled && outcome.refreshes.isEmpty)
    }

    @Test func goesByMemoryWhereItCannotLook() throws {
        let machine = try RecordedMachine.withImage()
        try machine.remove("/proc/kcore")
        var stranger = machine.engine()
        #expect(try stranger.reconcile(on: .hotplug) { 0 }.end == .blocked(.noSource))
        #expect(try stranger.reconcile(on: .routine) { 0 }.end == .settled)
        var savedState = Engine.SavedState()
        savedState.described = LiveView(of: machine.root, on: .x86).system.value
        var engine = machine.engine(savedState)
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
        let machine = try RecordedMachine.withImage()
        try machine.remove("/proc/kcore")
        try machine.write("0\n", to: "/sys/devices/system/memory/crash_hotplug")
        var engine = machine.engine()
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .busy)
        #expect(try engine.reconcile(on: .hotplug) { Observer.doubt - 1 }.end == .busy)
        #expect(
            try engine.reconcile(on: .hotplug) { Observer.doubt }.end == .blocked(.noSource))
        try machine.write("1\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .settled)
        try machine.write("0\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(try engine.reconcile(on: .hotplug) { 0 }.end == .busy)
        // What it said of one image says nothing of the next.
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        _ = try engine.reconcile(on: .routine) { Observer.doubt }
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        #expect(try engine.reconcile(on: .hotplug) { 2 * Observer.doubt }.end == .busy)
    }

    /// A kernel that updates the image takes it away for as long as it writes.
    @Test func anImageThatIsGoneForAnInstantIsNotLost() throws {
        let machine = try RecordedMachine.withImage()
        var engine = machine.engine()
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
        let machine = try RecordedMachine.withImage()
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var savedState = Engine.SavedState()
        savedState.expectsImage = true
        var engine = machine.engine(savedState)
        #expect(try engine.reconcile(on: .routine) { 0 }.end == .blocked(.noSource))
        #expect(engine.savedState.expectsImage)
        // Somebody else loaded one: the loss is over.
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        _ = try engine.reconcile(on: .routine) { 0 }
        #expect(!engine.savedState.expectsImage)
    }

    @Test func remembersTheCommandLineOfAnImageThatALoadLost() throws {
        let machine = try RecordedMachine.withImage()
        var engine = machine.engine()
        _ = try engine.reconcile(on: .routine) { 0 }
        #expect(engine.savedState.commandLine == "console=ttyS0 nr_cpus=1")
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var savedState = engine.savedState
        savedState.expectsImage = true
        var loser = machine.engine(savedState)
        _ = try loser.reconcile(on: .routine) { 0 }
        #expect(loser.savedState.commandLine == "console=ttyS0 nr_cpus=1")
        // What an administrator unloaded says nothing of the next one.
        _ = try engine.reconcile(on: .routine) { 0 }
        #expect(engine.savedState.commandLine == nil)
    }
}
