// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// `crashkernel=…,cma` on kernels with and without a file that tells its ranges.
@Suite struct ContiguousReserveTests {
    private let reserve = AddressRange(start: 0x2000_0000, end: 0x2800_0000)
    private let symbols = """
        ffffffff82000040 B kexec_crash_image
        ffffffff82000C00 B crashk_cma_ranges
        ffffffff82000D00 B crashk_cma_cnt

        """

    /// A machine whose header leaves the reserve out, as the kernel does.
    private func machine(
        symbols: String, cmdline: String = "ro crashkernel=64M crashkernel=128M,cma quiet",
        count: UInt32 = 1
    ) throws -> RecordedMachine {
        var loaded = try LoadedMachine(coveringHeader: false)
        loaded.symbols = symbols
        var header = LoadedMachine.coreHeader()
        // The last entry is the RAM above reserved memory: it begins behind the ranges.
        let direct: UInt64 = 0xFFFF_8880_0000_0000
        let last = header.count - 56
        for (offset, base) in [(8, 0), (16, direct), (24, 0)] as [(Int, UInt64)] {
            header.set(base + reserve.end, at: last + offset)
        }
        for offset in [32, 40] { header.set(0x4000_0000 - reserve.end, at: last + offset) }
        header.set(UInt16(7), at: 56)
        header += header[last...]
        for (offset, base) in [(8, 0), (16, direct), (24, 0)] as [(Int, UInt64)] {
            header.set(base + LoadedMachine.reserved.end, at: last + 56 + offset)
        }
        for offset in [32, 40] {
            header.set(reserve.start - LoadedMachine.reserved.end, at: last + 56 + offset)
        }
        loaded.put(header, at: LoadedMachine.header.start)
        let machine = try loaded.recorded()
        var kcore = loaded.kcore
        kcore.set(reserve.start, at: 0x1C00)
        kcore.set(reserve.end - 1, at: 0x1C08)
        kcore.set(count, at: 0x1D00)
        _ = try machine.file("/proc/kcore", Data(kcore))
        try machine.write(
            """
            00100000-3fffffff : System RAM
              10000000-100fffff : Crash kernel

            """, to: "/proc/iomem")
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        try machine.write(cmdline + "\n", to: "/proc/cmdline")
        return machine
    }

    private func look(
        _ machine: RecordedMachine
    ) throws -> (look: Engine.Look, saved: Engine.SavedState) {
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        return (try engine.look(.cheap, now: { 0 }), engine.savedState)
    }

    @Test func isReadFromTheKernelWhereNoFileTellsIt() throws {
        let machine = try machine(symbols: symbols)
        let (look, saved) = try look(machine)
        #expect(look.verdict == .current)
        #expect(saved.contiguousReserve?.ranges == [reserve])
        #expect(
            look.observation.live.value?.ram.intersection(AddressRanges([reserve])).isEmpty == true)
    }

    @Test func isReadFromTheFileWhereThereIsOne() throws {
        let machine = try machine(symbols: symbols, count: 0)
        try machine.write("20000000-27ffffff\n", to: "/sys/kernel/kexec/crash_cma_ranges")
        let (look, saved) = try look(machine)
        #expect(look.verdict == .current && saved.contiguousReserve == nil)
    }

    @Test func isUnknownWhereNobodyTellsIt() throws {
        let (look, saved) = try look(machine(symbols: symbols, count: 100))
        #expect(saved.contiguousReserve == nil)
        guard case .unverified(let reason) = look.verdict else {
            Issue.record("\(look.verdict)")
            return
        }
        #expect(reason.contains(",cma"))
    }

    /// An older kernel that is booted with the same command line reserves nothing so.
    @Test(arguments: [
        "crashkernel=128M,cma", "crashkernel=128M,high", "ro", "x=crashkernel=1M,cma",
    ])
    func isNoneWhereTheKernelKnowsNone(cmdline: String) throws {
        let machine = try machine(
            symbols: "ffffffff82000040 B kexec_crash_image\n", cmdline: cmdline)
        let verdict = try look(machine).look.verdict
        guard case .stale(let coverage) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(coverage.missingMemory.ranges == [reserve])
    }
}
