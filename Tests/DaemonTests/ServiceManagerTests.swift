// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// What systemd hears.
    @Suite struct ServiceManagerTests {
        private let socket: NotifySocket
        private let systemd = ServiceManager()

        init() throws {
            socket = try NotifySocket()
        }

        @Test func readyComesWithAStatus() {
            systemd.ready(status: "4 GiB and 2 CPUs are covered")
            #expect(socket.receive() == "READY=1\nSTATUS=4 GiB and 2 CPUs are covered")
        }

        @Test func aStatusIsNothingElse() {
            systemd.status("looking")
            #expect(socket.receive() == "STATUS=looking")
        }

        @Test func aReloadSaysWhenItBegan() {
            systemd.reloading(now: 1234)
            #expect(socket.receive() == "RELOADING=1\nMONOTONIC_USEC=1234")
        }

        @Test func stoppingSaysWhy() {
            systemd.stopping(status: "asked to stop")
            #expect(socket.receive() == "STOPPING=1\nSTATUS=asked to stop")
        }

        @Test(arguments: ["a\nREADY=1", "a\rREADY=1", "a\0READY=1", "a\u{7f}READY=1"])
        func aStatusCannotAssignAnythingElse(status: String) {
            systemd.status(status)
            #expect(socket.receive() == "STATUS=a READY=1")
        }

        @Test func otherLettersAreKept() {
            systemd.status("Kernel „größer“ 🐧")
            #expect(socket.receive() == "STATUS=Kernel „größer“ 🐧")
        }
    }
}
