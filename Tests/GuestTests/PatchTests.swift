// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// An image is made right by loading only what changed, and still dumps; whoever loaded it.
    ///
    /// The control of each is the same machine without the daemon, or with patches switched off.
    @Suite struct PatchTests {
        /// A kernel and whose way of loading.
        struct Pair: Sendable, CustomTestStringConvertible {
            let kernel: Kernel
            let loading: Loading

            var testDescription: String { "\(kernel) \(loading.rawValue)" }

            static let all = [Kernel.v6_1, .v6_12].flatMap { kernel in
                Loading.allCases.map { Pair(kernel: kernel, loading: $0) }
            }
        }

        @Test(arguments: Pair.all)
        func `a machine that grew is patched and dumps whole`(pair: Pair) throws {
            let guest = try bootWithDaemon(pair.kernel) { $0.sharesMemory = true }
            try pair.loading.load(guest)
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.countLoads()
            let before = try resident(guest)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            try guest.expect("sleep 3")
            #expect(try guest.loads(by: "kexec_file_load") == 0)
            let isKernels = pair.kernel == .v6_12 && pair.loading == .kernel
            #expect(try guest.loads(by: "kexec_load") > 0 || isKernels)
            if !isKernels { try expectToBeTold(guest) }
            #expect(try guest.report().integrity == "verified")
            #expect(try resident(guest) == before)
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm) && dump.processors == 3)
            #expect(dump.marks.intact == marks.pages)
        }

        private func expectToBeTold(_ guest: Machine) throws {
            let journal = try guest.daemonJournal()
            #expect(journal.contains("Patched") && !journal.contains("eloaded"), "\(journal)")
            let windows = try guest.expect("journalctl -F KDUMP_WINDOW_USEC")
            print("[guest] patched, unprotected for (µs): \(windows.split(separator: "\n"))")
            #expect(try guest.expect("journalctl -F KDUMP_REFRESH") == "patch")
            #expect(try guest.check().output.contains("by patch, "))
        }

        /// What no patch may change: the upper half of reserved memory, in which both loaders put
        /// kernel and initrd, but for the page of purgatory that has the digest.
        private func resident(_ guest: Machine) throws -> [Data] {
            let reserve = try #require(try guest.reservedMemory().first)
            let middle = reserve.lowerBound + UInt64(reserve.count / 2)
            let bytes = try guest.memory(at: middle, count: reserve.count / 2)
            return [Data(bytes.prefix(bytes.count - (2 << 20)))]
        }
    }
}
