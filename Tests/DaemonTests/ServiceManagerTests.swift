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

        /// A daemon that is killed in a load leaves nothing loaded.
        @Test func aLoadExtendsWhateverTimeCounts() {
            systemd.beginLoad()
            #expect(socket.receive() == "EXTEND_TIMEOUT_USEC=600000000")
            // Without a watchdog none is made; the end of the load is not worth a message.
            systemd.endLoad()
            let watched = ServiceManager(watchdog: 60_000_000)
            watched.beginLoad()
            #expect(
                socket.receive()
                    == "WATCHDOG=1\nWATCHDOG_USEC=600000000\nEXTEND_TIMEOUT_USEC=600000000")
            watched.endLoad()
            #expect(socket.receive() == "WATCHDOG_USEC=60000000\nWATCHDOG=1")
        }

        @Test func aLongStepSaysNowAndThenThatTheDaemonIsAlive() {
            var watched = ServiceManager(watchdog: 60_000_000)
            for second: UInt64 in 100...116 { watched.alive(at: second * 1_000_000) }
            var unwatched = systemd
            unwatched.alive(at: 0)
            systemd.status("end")
            let beats = [socket.receive(), socket.receive(), socket.receive()]
            #expect(beats == ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"])
            #expect(socket.receive() == "STATUS=end")
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
