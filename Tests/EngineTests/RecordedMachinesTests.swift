// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// Machines that no guest of ours is like: each is judged by what its kernel shows.
@Suite struct RecordedMachinesTests {
    /// Adds to a machine's files what its kernel shows of its memory and CPUs.
    private func recorded(
        _ loaded: LoadedMachine, reserved: [String] = ["10000000-100fffff"]
    ) throws -> RecordedMachine {
        let machine = try loaded.recorded()
        let lines = reserved.map { "  \($0) : Crash kernel\n" }.joined()
        try machine.write("00100000-3fffffff : System RAM\n" + lines, to: "/proc/iomem")
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        return machine
    }

    private func look(
        _ machine: RecordedMachine, on architecture: Architecture = .x86
    ) throws -> Engine.Look {
        var engine = Engine(root: machine.root, source: nil, architecture: architecture)
        return try engine.look(.cheap, now: { 0 })
    }

    /// A host with AMD's memory encryption: reserved memory is noise, until the kernel updates the
    /// header with its own key; and the capture kernel has another one.
    @Test(arguments: [false, true], [true, false])
    func anEncryptedHostIsNotTrusted(isUpdated: Bool, keepsUp: Bool) throws {
        var loaded = try LoadedMachine(coveringHeader: false)
        loaded.kimage?.keepsUp = keepsUp
        var generator = Repeatable(3)
        loaded.memory = loaded.memory.map { _ in .random(in: 0...255, using: &generator) }
        if isUpdated { loaded.put(LoadedMachine.coreHeader(), at: LoadedMachine.header.start) }
        let machine = try recorded(loaded)
        try machine.write(keepsUp ? "1\n" : "0\n", to: "/sys/devices/system/memory/crash_hotplug")
        let look = try look(machine)
        guard case .unverified(let reason) = look.verdict else {
            Issue.record("\(look.verdict)")
            return
        }
        #expect(reason.contains("encrypted") && look.observation.isEncrypted)
        #expect(look.verdict.needsRefresh(on: .hotplug))
    }

    /// A kernel that hides its memory for another reason is believed as before.
    @Test func aLockedDownHostIsTrusted() throws {
        let machine = try recorded(LoadedMachine())
        try machine.remove("/proc/kcore")
        try machine.write("1\n", to: "/sys/devices/system/memory/crash_hotplug")
        #expect(name(of: try look(machine).verdict) == "trusted")
    }

    /// RISC-V's kernel leaves the low reserve in the header; a kernel that does not is right, too.
    @Test func aLowReserveMayBeListedWhereTheKernelListsIt() throws {
        let reserved = ["08000000-08ffffff", "10000000-100fffff"]
        let machine = try recorded(LoadedMachine(), reserved: reserved)
        #expect(try look(machine, on: .riscv64).verdict == .current)
        guard case .stale(let coverage) = try look(machine).verdict else {
            Issue.record("x86 leaves it out")
            return
        }
        #expect(coverage.phantomMemory.byteCount == 16 << 20)
    }

    /// POWER with firmware-assisted dump: no crash kernel, and `/proc/iomem` shows no reserve.
    @Test(arguments: ["fadump/", "fadump_"])
    func aDumpByTheFirmwareIsADump(names: String) throws {
        let machine = try RecordedMachine([
            "/proc/iomem": "00000000-3ffffffff : System RAM\n",
            "/sys/devices/system/cpu/present": "0-15\n",
            "/sys/kernel/kexec_crash_loaded": "0\n",
            "/sys/kernel/\(names)enabled": "1\n",
            "/sys/kernel/\(names)registered": "1\n",
        ])
        let look = try look(machine, on: .power)
        #expect(look.verdict == .leftToFirmware)
        #expect(!look.verdict.needsRefresh(on: .hotplug) && !look.verdict.mayNeedReload)
        try machine.write("0\n", to: "/sys/kernel/\(names)registered")
        #expect(try self.look(machine, on: .power).verdict == .nothingLoaded)
        try machine.write("0\n", to: "/sys/kernel/\(names)enabled")
        #expect(try self.look(machine, on: .power).verdict == .nothingReserved)
    }

    /// A target that is encrypted: the tool has put the keys into the image and nowhere else.
    @Test func keysOfAnEncryptedTargetAreNotLost() throws {
        var loaded = try LoadedMachine()
        try loaded.addKeys()
        loaded.hideKeys()
        let machine = try recorded(loaded)
        let kernel = try machine.file("/boot/vmlinuz", Data([1]))
        let source = ImageSource(kernel: kernel, initrd: nil, commandLine: "nr_cpus=1")
        var engine = Engine(root: machine.root, source: source, architecture: .x86, grace: 0)
        func ways() throws -> Engine.Ways {
            engine.ways(given: try engine.look(.thorough, now: { 0 }))
        }
        #expect(try ways().patch == nil && ways().reload == .encryptedTarget)
        // An entry too many is not worth that anybody can read them; what a dump would lose is.
        try machine.write("0\n", to: "/sys/devices/system/cpu/present")
        #expect(try ways().patch == .encryptedTarget && ways().reload == .encryptedTarget)
        try machine.write("0-2\n", to: "/sys/devices/system/cpu/present")
        try machine.write("3fd3d800\n", to: "/sys/devices/system/cpu/cpu2/crash_notes")
        #expect(try ways().patch == nil)
        // Below another root nothing is patched.
        let outcome = try engine.reconcile(on: .hotplug) { 0 }
        #expect(name(of: outcome.look.verdict) == "stale" && outcome.refreshes.isEmpty)
        #expect(outcome.end == .blocked(.encryptedTarget))
        #expect(outcome.look.observation.image?.holdsTargetKeys == true)
    }
}
