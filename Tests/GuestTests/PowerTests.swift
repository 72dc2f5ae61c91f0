// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// The main job on POWER, where a CPU that was added costs the whole dump if it is the one that
    /// crashes: the capture kernel does not find it in its device tree.
    ///
    /// One pair of kernel and loader is tried in an ordinary run, all in `make matrix`.
    @Suite struct PowerTests {
        typealias Pair = PatchTests.Pair

        @Test(arguments: Pair.chosenOnPOWER)
        func `a machine that grew is patched and dumps whole from its new CPU`(pair: Pair) throws {
            let guest = try guest(pair.kernel, .watched(pair.loading))
            try guest.traceLoads()
            // A CPU of a guest that goes on comes online, which Debian's rule has seen before the daemon was
            // there to mask it.
            let before = try guest.failedRuleReloads()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            let new = try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            try guest.expect("sleep 3")
            #expect(try guest.loads(by: "kexec_load") > 0 || pair.isKernels)
            #expect(try guest.loads() == 0 || !pair.isKernels)
            if !pair.isKernels { try expectToBePatched(guest) }
            #expect(try guest.failedRuleReloads() == before, "Debian's rule is masked")
            try expectWholeDump(guest, on: new, of: dimm, processors: 3)
        }

        /// The control of all others.
        @Test(arguments: Cell.isFull ? Pair.staleOnPOWER : Pair.chosenOnPOWER)
        func `without the daemon a crash on the new CPU leaves no dump`(pair: Pair) throws {
            let guest = try guest(pair.kernel, .loaded(pair.loading)) {
                $0.sharesMemory = true
            }
            try GuestTests.expectNoDump(guest)
        }
    }

    /// Adds a CPU to a guest that shares its memory and has no daemon, and expects no dump of a crash on it.
    ///
    /// What lies in the capture kernel's log shows that it has come so far.
    static func expectNoDump(_ guest: Machine) throws {
        let new = try guest.hotAddCPU(socket: 2)
        let check = try guest.check()
        #expect(check.status == 2 && check.output.contains("no dump of a crash on \(new)"))
        let reserve = try #require(try guest.reservedMemory().first)
        let before = try complaints(guest, in: reserve)
        try guest.startCrash(on: new)
        let deadline = ContinuousClock.now + Machine.patience
        while try complaints(guest, in: reserve) <= before {
            try #require(ContinuousClock.now < deadline, "the capture kernel says nothing")
            Thread.sleep(forTimeInterval: 1)
        }
        #expect(throws: GuestError.self) { try guest.dump(within: .seconds(5)) }
    }

    /// How often reserved memory has the sentence of arch/powerpc/kernel/prom.c: once as a part of
    /// the kernel, and once more when that kernel has said it.
    private static func complaints(_ guest: Machine, in place: Range<UInt64>) throws -> Int {
        let bytes = Data(try guest.memory(at: place.lowerBound, count: place.count))
        var (count, rest) = (0, bytes.startIndex..<bytes.endIndex)
        while let found = bytes.range(of: Data("Failed to identify boot CPU".utf8), in: rest) {
            count += 1
            rest = found.upperBound..<bytes.endIndex
        }
        return count
    }

    /// Changes a byte of a capture kernel that lies at the beginning of reserved memory, which the guest
    /// shares with its host.
    static func damageKernel(loadedIn guest: Machine) throws {
        let reserve = try #require(try guest.reservedMemory().first)
        let place = reserve.lowerBound + 16 << 20
        let byte = try #require(try guest.memory(at: place, count: 1).first)
        try guest.overwrite(at: place, with: [byte ^ 0x55])
    }

    /// Crashes a guest on a CPU, and expects all memory in its dump, with what is marked in a DIMM.
    static func expectWholeDump(
        _ guest: Machine, on processor: Int, of dimm: Range<UInt64>, processors: Int,
        integrity: String = "verified"
    ) throws {
        let memory = try guest.memoryToDump()
        let reserve = try guest.reservedMemory()
        #expect(try guest.report().integrity == integrity)
        let marks = try guest.mark(dimm, count: marked)
        let dump = try crash(guest, on: processor, looking: marks)
        #expect(guest.memory(in: dump, reserving: reserve) == memory)
        #expect(dump.processors == processors)
        #expect(marks.pages.count >= marked && dump.marks.intact == marks.pages)
    }
}

extension GuestTests.PatchTests.Pair {
    /// All that are tried on POWER.
    static let power =
        Kernel.power.map { Self(kernel: $0, loading: .program) }
        + Kernel.power.dropFirst().map { Self(kernel: $0, loading: .programForKernel) }
        + [Kernel.power6_1, .power6_12].map { Self(kernel: $0, loading: .distribution) }
    /// One image of each kernel that nobody but the daemon keeps up.
    static let staleOnPOWER = power.filter { $0.loading == .program }
    static let chosenOnPOWER =
        Cell.isFull ? power : [Self(kernel: .power6_12, loading: .program)]
}
