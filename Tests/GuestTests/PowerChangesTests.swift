// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What comes after the first hotplug on POWER: more of it, until parts of the image have outgrown
    /// their places, and hotplug in the other direction.
    ///
    /// `PowerTests` has the control: without the daemon one CPU is enough to lose the dump.
    @Suite(.enabled(if: Cell.isFull)) struct PowerChangesTests {
        @Test(arguments: [Kernel.power6_1, .power6_12])
        func `ten cores outgrow the device tree, and the last one crashes`(kernel: Kernel) throws {
            let guest = try guest(kernel, .watched(.program)) { $0.spareProcessors = 10 }
            let before = try treePlace(guest)
            for core in 2..<12 { try guest.hotAddCPU(socket: core) }
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.waitUntilOK()
            #expect(try treePlace(guest) != before)
            try expectToBePatched(guest)
            try expectWholeDump(guest, on: 11, of: dimm, processors: 12)
        }

        @Test(arguments: [Kernel.power6_1, .power6_12, .power7])
        func `five patches in a row, by two daemons, leave one whole image`(kernel: Kernel) throws {
            let guest = try guest(kernel, .watched(.program)) { $0.losesCPUs = true }
            try guest.traceLoads()
            let steps: [(Machine) throws -> Void] = [
                { try $0.hotAdd(megabytes: 512, id: "one") },
                { try $0.hotAddCPU(socket: 2) },
                { try $0.hotRemove("one") },
                { try $0.hotAdd(megabytes: 256, id: "two") },
                { try $0.hotAddCPU(socket: 3) },
            ]
            try expectAPatch(of: guest, after: steps)
            try guest.hotRemoveCPU(socket: 2)
            try guest.waitUntilOK()
            try expectToBePatched(guest)
            let dimm = try #require(try guest.memoryToDump().last)
            try expectWholeDump(guest, on: 3, of: dimm, processors: 3)
        }

        /// Where the device tree of the image lies, by what the audit says.
        private func treePlace(_ guest: Machine) throws -> String {
            let lines = try guest.check("--quick").output.split(separator: "\n")
            return String(try #require(lines.first { $0.hasPrefix("device tree") }).prefix(50))
        }
    }
}
