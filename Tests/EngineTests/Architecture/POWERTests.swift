// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Images with a device tree, and machines whose CPUs the firmware numbers.
@Suite struct POWERTests {
    private static let commandLine = "console=hvc0 nr_cpus=1 elfcorehdr=262144K "

    /// A machine with two CPUs, whose image kexec-tools has loaded with a device tree that names the
    /// `cpus` and reserves `room` bytes for the core header.
    private func machine(
        cpus: [[UInt32]] = [[0], [8]], room: UInt64 = 0x1000, isDamaged: Bool = false
    ) throws -> LoadedMachine {
        var loaded = try LoadedMachine()
        let (header, initrd) = (LoadedMachine.header, LoadedMachine.initrd)
        let tree = SyntheticDeviceTree(
            commandLine: POWERTests.commandLine, initrd: initrd.start, cpus: cpus,
            reservations: [AddressRange(start: header.start, end: header.start + room), initrd])
        var bytes = tree.bytes
        if isDamaged { bytes[40 + 3 * 16 + 3] = 7 }
        let place = LoadedMachine.parameters
        loaded.put([UInt8](repeating: 0, count: Int(place.byteCount)), at: place.start)
        loaded.put(bytes, at: place.start)
        loaded.kimage?.isFromFiles = false
        try loaded.writeDigest(LoadedMachine.segments.filter { $0 != LoadedMachine.purgatory })
        return loaded
    }

    /// Its files: the reserve is in the device tree and not in `/proc/iomem`.
    private func recorded(_ loaded: LoadedMachine) throws -> RecordedMachine {
        let machine = try loaded.recorded()
        try machine.write("00000000-3fffffff : System RAM\n", to: "/proc/iomem")
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        for (cpu, number) in [0: "0", 1: "8"] {
            try machine.write(number + "\n", to: "/sys/devices/system/cpu/cpu\(cpu)/physical_id")
        }
        try reserve(LoadedMachine.reserved.start, LoadedMachine.reserved.byteCount, of: machine)
        return machine
    }

    private func reserve(_ start: UInt64, _ size: UInt64, of machine: RecordedMachine) throws {
        for (name, number) in [("base", start), ("size", size)] {
            // Each byte of these numbers is ASCII.
            let text = String(decoding: Array(bigEndian: number), as: UTF8.self)
            try machine.write(text, to: "/proc/device-tree/chosen/linux,crashkernel-\(name)")
        }
    }

    private func look(_ machine: RecordedMachine) throws -> Engine.Look {
        var engine = Engine(root: machine.root, source: nil, architecture: .power)
        return try engine.look(.thorough, now: { 0 })
    }

    @Test func understandsAnImageWithADeviceTree() throws {
        let look = try look(recorded(machine()))
        let image = try #require(look.observation.image)
        #expect(image.commandLine == .known(POWERTests.commandLine) && image.maker == .program)
        #expect(
            image.parts.map(\.role) == [.coreHeader, .initrd, .kernel, .bootParameters, .purgatory])
        #expect(image.integrity == .verified && image.bootProcessors == NumberSet([0, 8]))
        #expect(look.observation.reserved.value == [LoadedMachine.reserved])
        #expect(look.verdict == .stale(try coverage(missing: 0x1_0000..<0x10_0000)))
        let line = ResidentCommandLine.administrators(POWERTests.commandLine)
        #expect(line == "console=hvc0 nr_cpus=1")
    }

    /// The synthetic core header begins at 1 MiB, as on another architecture.
    private func coverage(missing: Range<UInt64>, unbootable: NumberSet = NumberSet()) throws
        -> Coverage
    {
        let ram = try machine().live.ram
        let low = AddressRange(start: missing.lowerBound, end: missing.upperBound)
        let cpus = NumberSet([0, 1])
        return Coverage(
            live: LiveSystem(ram: ram.union(AddressRanges([low])), cpus: cpus),
            described: LiveSystem(ram: ram, cpus: cpus), unbootable: unbootable)
    }

    @Test func aCPUThatTheTreeDoesNotNameLeavesNoDump() throws {
        let machine = try recorded(machine(cpus: [[0, 1]]))
        try machine.write(
            "00000000-0000ffff : System RAM\n00100000-3fffffff : System RAM\n", to: "/proc/iomem")
        guard case .stale(let coverage) = try look(machine).verdict else {
            Issue.record("CPU 1 is 8 for the firmware, and the tree has no 8")
            return
        }
        #expect(coverage.unbootableCPUs == NumberSet([1]) && coverage.losesAnything)
        #expect(coverage.missingCPUs.isEmpty && coverage.missingMemory.isEmpty)
        // The tree may name CPUs that are gone.
        try machine.write("0\n", to: "/sys/devices/system/cpu/present")
        #expect(try look(machine).observation.coverage.value?.unbootableCPUs.isEmpty == true)
    }

    @Test func coversAMachineWhoseFirstMemoryIsABackup() throws {
        let machine = try recorded(machine(cpus: [[8, 9], [0, 1]]))
        try machine.write(
            "00000000-0000ffff : System RAM\n00100000-3fffffff : System RAM\n", to: "/proc/iomem")
        #expect(try look(machine).verdict == .current)
    }

    /// The header has 6 entries, and so 400 bytes.
    @Test(arguments: [(400, true), (399, false), (64, false)])
    func theTreeMustReserveTheHeader(room: UInt64, isEnough: Bool) throws {
        let coverage = try look(recorded(machine(room: room))).observation.coverage.value
        #expect((coverage?.flaw == nil) == isEnough)
    }

    @Test func aDamagedTreeIsNoTree() throws {
        let verdict = try look(recorded(machine(isDamaged: true))).verdict
        #expect(verdict == .broken(because: "its device tree is damaged"))
    }

    @Test func theReserveMustBeAPlaceInMemory() throws {
        let machine = try recorded(machine())
        try reserve(0x1000_0000, 0, of: machine)
        let look = try look(machine)
        #expect(look.observation.reserved.reason?.contains("device tree") == true)
        try machine.remove("/proc/device-tree/chosen/linux,crashkernel-size")
        #expect(try self.look(machine).observation.reserved.value == [])
    }
}
