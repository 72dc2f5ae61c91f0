// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// An image is made right by loading only what changed, and still dumps; whoever loaded it.
    ///
    /// The controls: without the daemon the same growth is not in the dump (HarnessTests), the same
    /// phantom is (CureTests), and what bars a patch leads to a reload (PatchFallbackTests).
    @Suite struct PatchTests {
        /// A kernel and whose way of loading.
        struct Pair: Sendable, CustomTestStringConvertible {
            let kernel: Kernel
            let loading: Loading

            var testDescription: String { "\(kernel) \(loading.rawValue)" }

            static let all = Kernel.all.flatMap { kernel in
                Loading.onPC.map { Pair(kernel: kernel, loading: $0) }
            }

            /// Those that grow and crash: all, and of the oldest kernel its own loader and kexec's; in an
            /// ordinary run one for each kernel, none of which ``inChains`` has.
            static let growing =
                Cell.isFull
                ? all + [Loading.kernel, .program].map { Pair(kernel: .v5_10, loading: $0) }
                : [
                    Pair(kernel: .v5_10, loading: .kernel), Pair(kernel: .v6_1, loading: .program),
                    Pair(kernel: .v6_12, loading: .distribution),
                    Pair(kernel: .v7, loading: .kernel),
                ]

            /// Whether the kernel updates this image itself.
            var isKernels: Bool {
                [.v6_12, .v7].contains(kernel) && loading == .kernel
                    || loading == .programForKernel
            }

            /// Those whose image no kernel updates; in an ordinary run one for each kernel, with
            /// every way of loading among them.
            static let inChains = all.filter { pair in
                guard !pair.isKernels else { return false }
                let ordinary: [Kernel: Loading] = [
                    .v6_1: .kernel, .v6_12: .program, .v7: .distribution,
                ]
                return Cell.isFull || ordinary[pair.kernel] == pair.loading
            }
        }

        @Test(arguments: Pair.growing)
        func `a machine that grew is patched and dumps whole`(pair: Pair) throws {
            let guest = try guest(pair.kernel, .watched(pair.loading)) { $0.sharesMemory = true }
            try guest.traceLoads()
            let before = try resident(guest)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            try guest.expect("sleep 3")
            #expect(try guest.loads(by: "kexec_file_load") == 0)
            #expect(try guest.loads(by: "kexec_load") > 0 || pair.isKernels)
            if !pair.isKernels { try expectToBePatched(guest) }
            #expect(try guest.report().integrity == "verified")
            #expect(try resident(guest) == before)
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm) && dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
        }

        /// Of an image that no kernel updates, with what is plugged out last: what is left of it in
        /// the dump would be a phantom.
        @Test(arguments: Pair.inChains)
        func `seven patches in a row, by two daemons, leave one whole image`(pair: Pair) throws {
            let guest = try guest(pair.kernel, .watched(pair.loading)) {
                $0.sharesMemory = true
                $0.losesCPUs = true
            }
            try guest.traceLoads()
            let before = try resident(guest)
            let steps: [(Machine) throws -> Void] = [
                { try $0.hotAdd(megabytes: 256, id: "one") },
                { try $0.hotAddCPU(socket: 2) },
                { try $0.hotRemove("one") },
                { try $0.hotAdd(megabytes: 512, id: "two") },
                { try $0.hotAddCPU(socket: 3) },
                { try $0.hotAdd(megabytes: 128, id: "three") },
                { try $0.hotRemove("two") },
            ]
            try expectAPatch(of: guest, after: steps)
            // What the header still has of it is an empty note, which the capture kernel leaves out
            // (fs/proc/vmcore.c, update_note_header_size_elf64): nothing to patch.
            try guest.hotRemoveCPU(socket: 3)
            try guest.waitUntilOK()
            try expectToBePatched(guest)
            #expect(try guest.loads(by: "kexec_file_load") == 0)
            #expect(try guest.report().integrity == "verified")
            #expect(try resident(guest) == before)
            let memory = try guest.memoryToDump()
            let dimm = try #require(memory.last)
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.memory.aboveLegacy == memory && dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
        }

        /// The kernel goes on keeping the patched image up, with room to grow.
        @Test(arguments: Cell.isFull ? [Kernel.v6_12, .v7] : [.v7])
        func `a phantom is patched away, and the kernel goes on by itself`(
            kernel: Kernel
        ) throws {
            let guest = try guest(kernel, .installed)
            let gone = try guest.hotAdd(megabytes: 256, id: "gone")
            try guest.loadCrashKernel()
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.traceLoads()
            try guest.hotRemove("gone")
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Patched")
            try guest.waitUntilOK()
            try expectToBePatched(guest)
            #expect(try guest.loads(by: "kexec_file_load") == 0)
            #expect(try guest.report().kernelUpdates)
            #expect(try guest.expect("cat /sys/devices/system/memory/crash_hotplug") == "1")
            try guest.expect("systemctl stop kdump-hotplugd")
            let loads = try guest.loads()
            let place = try guest.hotAdd(megabytes: 512, id: "kernels")
            try guest.hotAddCPU(socket: 2)
            #expect(try guest.report().memory?.missing.isEmpty == true)
            #expect(try guest.loads() == loads, "nobody but the kernel")
            let marks = try guest.mark(place, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(place) && dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
            #expect(!dump.touches(gone) || place.overlaps(gone))
        }

        /// What no patch may change: the upper half of reserved memory, in which both loaders put
        /// kernel and initrd, without its end, where they put purgatory.
        private func resident(_ guest: Machine) throws -> Data {
            let reserve = try #require(try guest.reservedMemory().first)
            let middle = reserve.lowerBound + UInt64(reserve.count / 2)
            return Data(try guest.memory(at: middle, count: reserve.count / 2 - (2 << 20)))
        }
    }

    /// Changes a guest step by step, with another daemon from the third on, and expects a patch after each.
    static func expectAPatch(
        of guest: Machine, after steps: [(Machine) throws -> Void]
    ) throws {
        for (number, step) in steps.enumerated() {
            let loads = try guest.loads(by: "kexec_load")
            try step(guest)
            try guest.waitUntilOK()
            #expect(try guest.loads(by: "kexec_load") > loads, "step \(number)")
            if number == 1 { try guest.startDaemon() }
        }
    }

    /// Expects a patch, and nothing else, to be in the journal and in what `--check` says.
    static func expectToBePatched(_ guest: Machine) throws {
        let journal = try guest.daemonJournal()
        #expect(journal.contains("Patched") && !journal.contains("eloaded"), "\(journal)")
        let windows = try guest.expect(
            "journalctl -u kdump-hotplugd -o verbose | sed -n 's/ *KDUMP_WINDOW_USEC=//p'")
        print("[guest] patched, unprotected for (µs): \(windows.split(separator: "\n"))")
        #expect(try guest.expect("journalctl -F KDUMP_REFRESH") == "patch")
        #expect(try guest.check().output.contains("by patch, "))
    }
}
