// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

/// What may happen to a machine after its crash kernel was loaded.
enum Change: String, CaseIterable, Sendable {
    case nothing, dimmAdded, dimmRemoved, cpuAdded, cpuOfflined
}

/// One cell of the matrix.
struct Cell: Sendable, CustomTestStringConvertible {
    let kernel: Kernel
    let loading: Loading
    let change: Change

    var testDescription: String { "\(kernel) \(loading.rawValue) \(change.rawValue)" }

    /// What is asked for of the matrix: "all" by `make matrix`, or "power" or "arm64".
    private static let wanted = ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_MATRIX"]

    /// Whether all there is to run shall run.
    static let isFull = ["all", "power", "arm64"].contains(wanted)

    /// All of them, or in an ordinary run one for each change, with every kernel and every loader among
    /// them; `KDUMP_HOTPLUGD_MATRIX=all` (make matrix) runs all.
    static var chosen: [Cell] {
        if wanted == "power" { return power }
        if wanted == "arm64" { return arm }
        guard isFull else { return ordinary }
        let pc = GuestTests.PatchTests.Pair.all.flatMap { pair in
            Change.allCases.map { Cell(kernel: pair.kernel, loading: pair.loading, change: $0) }
        }
        return pc + power + arm
    }

    /// Of what is added, the kernel lists the DIMM itself, and nobody the CPU.
    private static let ordinary = [
        Cell(kernel: .v6_12, loading: .distribution, change: .nothing),
        Cell(kernel: .v7, loading: .kernel, change: .dimmAdded),
        Cell(kernel: .v6_1, loading: .program, change: .dimmRemoved),
        Cell(kernel: .v6_12, loading: .program, change: .cpuAdded),
        Cell(kernel: .v6_1, loading: .distribution, change: .cpuOfflined),
    ]

    private static var power: [Cell] {
        let files = [Kernel.powerFile, .powerFileHotplug]
        return GuestTests.PatchTests.Pair.power.flatMap { pair in
            Change.allCases.map { Cell(kernel: pair.kernel, loading: pair.loading, change: $0) }
        } + Change.allCases.flatMap { change in fromFiles(files, change) }
    }

    /// With kernels that are built for it.
    private static func fromFiles(_ kernels: [Kernel], _ change: Change) -> [Cell] {
        guard ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_FILES"] != nil else { return [] }
        return kernels.map { Cell(kernel: $0, loading: .kernel, change: change) }
    }

    /// What the probe says of whether an image is whole: outside PCs no capture kernel checks one of
    /// `kexec_file_load`.
    var integrity: String {
        loading == .kernel && kernel.platform != .pc ? "none" : "verified"
    }

    /// QEMU plugs no CPU in there, and the kernel with larger pages takes no memory either.
    private static var arm: [Cell] {
        let most = GuestTests.PatchTests.Pair.arm.flatMap { pair in
            Change.allCases.filter { $0 != .cpuAdded }
                .map { Cell(kernel: pair.kernel, loading: pair.loading, change: $0) }
        }
        return most
            + Change.allCases.filter { $0 != .cpuAdded }.flatMap { fromFiles([.armFile], $0) }
            + [.nothing, .cpuOfflined].map {
                Cell(kernel: .arm6_12_16k, loading: .program, change: $0)
            }
    }
}

extension GuestTests {
    /// The audit says of an image what the dump then shows: no daemon runs, only the probe.
    @Suite struct AuditTests {
        @Test(arguments: Cell.chosen)
        func `the audit says what the dump holds`(cell: Cell) throws {
            let isRemoval = cell.change == .dimmRemoved
            let guest = try guest(cell.kernel, isRemoval ? .installed : .loaded(cell.loading))
            var dimm: Range<UInt64>?
            if isRemoval {
                dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
                try cell.loading.load(guest)
            }
            switch cell.change {
            case .nothing: break
            case .dimmAdded: dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            case .dimmRemoved: try guest.hotRemove("dimm")
            case .cpuAdded: try guest.hotAddCPU(socket: 2)
            case .cpuOfflined: try guest.expect("echo 0 >/sys/devices/system/cpu/cpu1/online")
            }
            let report = try guest.report()
            print("[guest] \(cell.testDescription): \(report.summary)")
            let expected = try described(guest, report)
            let there = try cpus(guest.processorsOfDumps())
            let reserve = try guest.reservedMemory()
            let dump = try crash(guest, on: guest.processorOfEveryImage)
            #expect(guest.memory(in: dump, reserving: reserve) == expected)
            let cpus = try #require(report.cpus)
            #expect(dump.processors == there.subtracting(cpus.missing).count)
            #expect(report.integrity == cell.integrity)
            if let dimm, cell.change == .dimmAdded {
                let isMissing = report.memory?.missing.contains { $0.addresses == dimm }
                #expect(dump.covers(dimm) == !(isMissing ?? false))
            }
        }

        /// The memory that the audit says the image describes: what is there, without what it says
        /// is missing, with what it says is gone.
        private func described(_ guest: Machine, _ report: CheckReport) throws -> [Range<UInt64>] {
            let memory = try #require(report.memory)
            let there = try guest.memoryToDump().subtracting(memory.missing.map(\.addresses))
            return (there + memory.phantom.map(\.addresses)).joined
        }

        private func cpus(_ list: String) throws -> Set<Int> {
            var numbers: Set<Int> = []
            for part in list.split(separator: ",") {
                let ends = part.split(separator: "-").compactMap { Int($0) }
                guard let first = ends.first, let last = ends.last else { continue }
                numbers.formUnion(first...last)
            }
            return numbers
        }
    }
}
