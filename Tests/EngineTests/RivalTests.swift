// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What another program has done while a load was being prepared.
@Suite struct RivalTests {
    /// What is seen of a machine whose image has a command line; nothing is loaded where it has none.
    private func look(
        _ commandLine: String?, lost: Bool = false, adjust: (inout LoadedMachine) -> Void = { _ in }
    ) throws -> Engine.Look {
        var loaded = try LoadedMachine()
        if let commandLine {
            loaded.putParameters(commandLine)
        } else {
            loaded.kimage = nil
        }
        adjust(&loaded)
        let machine = try loaded.observable()
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        let isLoaded = commandLine == nil ? "0\n" : "1\n"
        try machine.write(isLoaded, to: "/sys/kernel/kexec_crash_loaded")
        var state = Engine.SavedState()
        state.expectsImage = lost
        var engine = machine.engine(state)
        return try engine.look(.cheap, now: { 0 })
    }

    private let line = LoadedMachine.commandLine

    @Test func theSameImageIsNobodysDoing() throws {
        let before = try look(line)
        #expect(Rival(before: before, now: try look(line)) == nil)
        // Damage that only a thorough look has found is not seen by a cheap one.
        let header = LoadedMachine.coreHeader(ramEnd: 0x3000_0000)
        let updated = try look(line) { $0.put(header, at: LoadedMachine.header.start) }
        #expect(updated.observation.coverage != before.observation.coverage)
        #expect(Rival(before: before, now: updated) == nil, "the kernel may update it")
    }

    @Test func whatIsUnloadedStaysUnloaded() throws {
        #expect(Rival(before: try look(line), now: try look(nil)) == .unloaded)
        #expect(Rival(before: try look(line), now: try look(nil, lost: true)) == nil, "by us")
        #expect(Rival(before: try look(nil, lost: true), now: try look(nil, lost: true)) == nil)
    }

    @Test func whatIsLoadedAnewIsNotOverwritten() throws {
        let before = try look(line)
        #expect(Rival(before: before, now: try look(line + " quiet")) == .loaded)
        let moved = try look(line) { $0.kimage?.controlPage += 0x1000 }
        #expect(Rival(before: before, now: moved) == .loaded)
        #expect(Rival(before: try look(nil, lost: true), now: before) == .loaded)
    }
}
