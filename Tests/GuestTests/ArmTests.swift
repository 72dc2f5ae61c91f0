// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// The main job on arm64, where no kernel keeps an image up and Debian's have no loader of their own.
    ///
    /// One pair of kernel and loader is tried in an ordinary run, all in `make matrix`.
    @Suite struct ArmTests {
        typealias Pair = PatchTests.Pair

        @Test(arguments: Pair.chosenOnARM)
        func `a machine that grew is patched and dumps whole`(pair: Pair) throws {
            let guest = try guest(pair.kernel, .watched(pair.loading))
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.waitUntilOK()
            try guest.expect("sleep 3")
            #expect(try guest.loads(by: "kexec_load") == 1)
            try expectToBePatched(guest)
            try expectWholeDump(guest, on: 1, of: dimm, processors: 2)
        }

        /// The control of all others.
        @Test(arguments: Pair.chosenOnARM)
        func `without the daemon nothing of what was added is in the dump`(pair: Pair) throws {
            let guest = try guest(pair.kernel, .loaded(pair.loading))
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            let check = try guest.check()
            #expect(check.status == 2, "\(check.output)")
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, on: 1, looking: marks)
            #expect(!dump.touches(dimm) && dump.processors == 2)
            #expect(marks.pages.count >= marked && dump.marks.absent == marks.pages)
        }
    }
}

extension GuestTests.PatchTests.Pair {
    /// All on arm64 whose image can be read, and whose memory can grow.
    static let arm = [Kernel.arm6_12, .arm7].flatMap { kernel in
        [Loading.program, .distribution].map { Self(kernel: kernel, loading: $0) }
    }
    static let chosenOnARM = Cell.isFull ? arm : [Self(kernel: .arm6_12, loading: .program)]
}
