// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// A machine shrinks after its crash kernel was loaded: the dump must not list what is gone.
    @Suite struct RemovalTests {
        @Test(arguments: [true, false])
        func `on 6.1 a removed DIMM is listed only without the daemon`(daemon: Bool) throws {
            let guest = try guest(.v6_1, .installed)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.loadCrashKernel()
            if daemon {
                try guest.startDaemon()
                try guest.waitUntilOK()
            }
            try guest.hotRemove("dimm")
            if daemon { try guest.waitUntilOK() }
            #expect(try !guest.systemMemory().contains { $0.overlaps(dimm) })
            let dump = try crash(guest)
            #expect(dump.touches(dimm) == !daemon)
        }
    }
}
