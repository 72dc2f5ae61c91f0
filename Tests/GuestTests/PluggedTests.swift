// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// What machines plug beside whole DIMMs and CPUs: memory in small steps, memory behind a device,
    /// memory that stays offline, a core's second thread.
    ///
    /// Each with its control: without the daemon the dump does not have it.
    @Suite struct PluggedTests {
        @Test(arguments: [true, false])
        func `virtio-mem grows, shrinks and grows again`(daemon: Bool) throws {
            let guest = try guest(.v6_1, beginning(daemon)) {
                $0.virtioMemory = 1024
                // The guest that ChaosTests have.
                $0.commandLine = Machine.stopsOnlyStartedCPUs
            }
            try guest.expect("modprobe virtio_mem")
            let place = try resizeVirtioMemory(of: guest, daemon: daemon)
            try expectInTheDump(place, of: guest, onlyWith: daemon)
        }

        @Test(arguments: [true, false])
        func `memory behind a DAX device comes, goes and comes again`(daemon: Bool) throws {
            let guest = try guest(.v6_1, beginning(daemon)) {
                $0.memory = 2048
                // Half a GiB that is called persistent memory from the beginning.
                $0.commandLine = "memmap=512M!1G"
            }
            try guest.expect(
                """
                modprobe -a nd_e820 nd_pmem dax_pmem kmem && udevadm settle
                ndctl create-namespace -f -e namespace0.0 -m devdax -M mem
                """)
            let place: Range<UInt64> = 1 << 30..<3 << 29
            for mode in ["system-ram", "devdax", "system-ram"] {
                // Not while udevd still looks at the device.
                try guest.expect(
                    "udevadm settle && daxctl reconfigure-device -f -m \(mode) dax0.0")
                let isMemory = try guest.memoryToDump().contains { $0.overlaps(place) }
                #expect(isMemory == (mode == "system-ram"))
                if daemon { try guest.waitUntilOK() }
            }
            try expectInTheDump(place, of: guest, onlyWith: daemon)
        }

        /// As Hyper-V leaves memory where no rule of the guest brings it online.
        ///
        /// It is System RAM, and the kernel's own loader lists it; so does a dump.
        @Test(arguments: [true, false])
        func `blocks that stay offline, and blocks taken offline again, are listed`(
            daemon: Bool
        ) throws {
            let guest = try guest(.v6_1, beginning(daemon)) {
                $0.commandLine = "memhp_default_state=offline"
            }
            try guest.traceLoads()
            let dimm = try guest.hotAdd(megabytes: 384, id: "dimm")
            let states = "/sys/devices/system/memory/memory*/state"
            #expect(try guest.expect("grep -l offline \(states) | wc -l") == "3")
            if daemon { try guest.waitUntilOK() }
            let loads = try guest.loads(by: "kexec_load")
            #expect((loads > 0) == daemon)
            try guest.expect(
                """
                blocks=$(grep -l offline \(states))
                for block in $blocks; do echo online_movable >$block; done
                set -- $blocks; echo offline >$1; grep -q offline $1
                """)
            if daemon { try guest.waitUntilOK() }
            #expect(try guest.loads(by: "kexec_load") == loads, "nothing to load")
            try expectInTheDump(dimm, of: guest, onlyWith: daemon)
        }

        @Test(arguments: [true, false])
        func `a core with two threads`(daemon: Bool) throws {
            let guest = try guest(.v6_1, beginning(daemon)) { $0.threads = 2 }
            try guest.hotAddCPU(socket: 1)
            try guest.hotAddCPU(socket: 1, thread: 1)
            if daemon { try guest.waitUntilOK() }
            #expect(try crash(guest).processors == (daemon ? 4 : 2))
        }

        private func beginning(_ daemon: Bool) -> Beginning {
            daemon ? .watched(.kernel) : .loaded(.kernel)
        }

        /// Crashes the guest: with the daemon its dump lists just the memory there is, and has all
        /// marked pages of `place`; without it nothing of `place`.
        private func expectInTheDump(
            _ place: Range<UInt64>, of guest: Machine, onlyWith daemon: Bool
        ) throws {
            let memory = try guest.memoryToDump()
            let marks = try guest.mark(place, count: marked)
            #expect(marks.pages.count >= marked)
            let dump = try crash(guest, looking: marks)
            #expect((dump.memory.aboveLegacy == memory) == daemon)
            #expect(dump.touches(place) == daemon)
            #expect(dump.marks.intact == (daemon ? marks.pages : []))
        }
    }

    /// Lets virtio-mem grow, shrink and grow again to half of what it can have, where the daemon has to
    /// follow each time; returns the place of all that it can have.
    ///
    /// The steps below 128 MiB, a memory block's size, come without an event of a block: the blocks that
    /// have some of it are those that the map lists.
    static func resizeVirtioMemory(of guest: Machine, daemon: Bool) throws -> Range<UInt64> {
        let place = try guest.virtioMemoryPlace()
        for megabytes in [1024, 300, 130, 2, 0, 512] {
            try guest.resizeVirtioMemory(to: megabytes)
            guard daemon else { continue }
            try guest.waitUntilOK()
            let present = try guest.memoryToDump().filter { $0.overlaps(place) }
            #expect(present.isEmpty == (megabytes == 0))
        }
        try guest.expect("udevadm settle")
        return place
    }
}
