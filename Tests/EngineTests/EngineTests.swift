// SPDX-License-Identifier: Apache-2.0

import Engine
import Testing

/// The engine's way through its rooms where no load comes about; loads are tested in guests.
@Suite struct EngineTests {
    @Test func leavesAnUnprotectedMachineAlone() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        let outcome = try engine.reconcile(on: .hotplug)
        #expect(outcome.look.verdict == .nothingLoaded)
        #expect(outcome.end == .settled && outcome.refreshes.isEmpty)
    }

    @Test func saysWhatBarsARefresh() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        let outcome = try engine.reconcile(on: .hotplug)
        #expect(outcome.end == .blocked(.noSource))
        #expect(try engine.reconcile(on: .routine).end == .settled)
    }

    @Test func doesNothingWhereTheKernelKeepsUp() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        try machine.write("1\n", to: "/sys/devices/system/memory/crash_hotplug")
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        let outcome = try engine.reconcile(on: .hotplug)
        #expect(outcome.look.verdict == .kernelKeepsUp && outcome.end == .settled)
    }

    @Test func remembersForWhichMachineItLoaded() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        var memory = Engine.Memory()
        memory.described = LiveView(of: machine.root, on: .x86).system.value
        var engine = Engine(
            root: machine.root, source: nil, memory: memory, architecture: .x86)
        #expect(try engine.reconcile(on: .hotplug).look.verdict == .current)
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        guard case .stale(let coverage) = try engine.look().verdict else {
            return #expect(Bool(false))
        }
        #expect(coverage.missingCPUs == NumberSet([2]))
        // An image that somebody unloaded is not remembered when another one comes.
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        #expect(try engine.reconcile(on: .hotplug).look.verdict == .nothingLoaded)
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        guard case .unverified = try engine.look().verdict else { return #expect(Bool(false)) }
    }

    @Test func keepsTryingAfterALossOfItsOwn() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
        var memory = Engine.Memory()
        memory.expectsImage = true
        var engine = Engine(
            root: machine.root, source: nil, memory: memory, architecture: .x86)
        #expect(try engine.reconcile(on: .routine).end == .blocked(.noSource))
        #expect(engine.memory.expectsImage)
        // Somebody else loaded one: the loss is over.
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        _ = try engine.reconcile(on: .routine)
        #expect(!engine.memory.expectsImage)
    }

    @Test func reportsFilesThatCannotBeRead() throws {
        let machine = try RecordedMachine(["/sys/kernel/kexec_crash_loaded/file": ""])
        let engine = Engine(root: machine.root, source: nil)
        #expect(throws: SystemError.self) { try engine.look() }
    }
}
