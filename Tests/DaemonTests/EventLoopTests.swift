// SPDX-License-Identifier: Apache-2.0

import Engine
import Glibc
import Testing

@testable import KdumpHotplugd

/// How long a test waits for what must come, in microseconds; a loaded machine needs some of it.
let patience: UInt64 = 10_000_000

extension DaemonTests {
    /// The loop, with real time, real signals and real descriptors.
    @Suite struct EventLoopTests {
        private let loop: EventLoop
        private let tooLate: Alarm

        init() throws {
            let loop = try EventLoop()
            self.loop = loop
            tooLate = try loop.makeAlarm { [unowned loop] in loop.exit(1) }
            try tooLate.set(at: loop.now + patience)
        }

        @Test func theCodeOfExitIsReturned() throws {
            let alarm = try loop.makeAlarm { [loop] in loop.exit(7) }
            try alarm.set(at: 0)
            #expect(try loop.run() == 7)
        }

        @Test func anAlarmRingsOnceForEachTimeItIsSet() throws {
            var rung = 0
            let end = try loop.makeAlarm { [loop] in loop.exit(0) }
            // A third ring would come at once: 30 ms after the second is time enough for it.
            let alarm = try loop.makeAlarm { [loop] in
                rung += 1
                if rung == 2 { try? end.set(at: loop.now + 30_000) }
            }
            let again = try loop.makeAlarm { [loop] in try? alarm.set(at: loop.now) }
            try alarm.set(at: loop.now)
            try again.set(at: loop.now + 10_000)
            #expect(try loop.run() == 0)
            #expect(rung == 2)
        }

        @Test func anAlarmRingsAtItsTime() throws {
            var rungAt: UInt64 = 0
            let alarm = try loop.makeAlarm { [loop] in
                rungAt = loop.now
                loop.exit(0)
            }
            let set = loop.now + 20_000
            try alarm.set(at: set + 5_000_000)
            try alarm.set(at: set)
            #expect(try loop.run() == 0)
            #expect((set..<set + 1_000_000).contains(rungAt))
        }

        @Test func aClearedAlarmIsSilent() throws {
            var rung = false
            let alarm = try loop.makeAlarm { rung = true }
            let end = try loop.makeAlarm { [loop] in loop.exit(0) }
            try alarm.set(at: loop.now)
            try alarm.clear()
            try end.set(at: loop.now + 20_000)
            #expect(try loop.run() == 0)
            #expect(!rung)
        }

        @Test(arguments: [SIGHUP, SIGINT, SIGTERM])
        func aSignalArrives(signal: CInt) throws {
            // The test runner's threads block every signal; the daemon's first thread does not.
            var all = sigset_t()
            var before = sigset_t()
            sigfillset(&all)
            try #require(pthread_sigmask(SIG_UNBLOCK, &all, &before) == 0)
            defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
            let loop = try EventLoop()
            try loop.whenSignalled(signal) { [unowned loop] in loop.exit(0) }
            // One that is not blocked would end the daemon, and is refused.
            #expect(throws: SystemError("watch signal \(SIGUSR1)", errno: EBUSY)) {
                try loop.whenSignalled(SIGUSR1) {}
            }
            // To this thread only.
            #expect(raise(signal) == 0)
            #expect(try loop.run() == 0)
        }

        @Test func aDescriptorIsReadable() throws {
            var ends: [CInt] = [-1, -1]
            try #require(pipe(&ends) == 0)
            defer { for end in ends { close(end) } }
            try loop.whenReadable(ends[0]) { [unowned loop] in loop.exit(0) }
            try #require(write(ends[1], "x", 1) == 1)
            #expect(try loop.run() == 0)
        }

        @Test func whatCannotBeWatchedIsAnError() {
            #expect(throws: SystemError("watch descriptor -1", errno: EBADF)) {
                try loop.whenReadable(-1) {}
            }
            #expect(throws: SystemError("watch signal -1", errno: EINVAL)) {
                try loop.whenSignalled(-1) {}
            }
        }

        @Test func aClosureGoesWithItsLoopOrAlarm() throws {
            final class Witness {}
            weak var ofLoop: Witness?
            weak var ofAlarm: Witness?
            do {
                let other = try EventLoop()
                let first = Witness()
                let second = Witness()
                (ofLoop, ofAlarm) = (first, second)
                try other.whenSignalled(SIGHUP) { [first] in _ = first }
                _ = try other.makeAlarm { [second] in _ = second }
                #expect(ofLoop === first && ofAlarm === second)
            }
            #expect(ofLoop == nil)
            #expect(ofAlarm == nil)
        }

        @Test func theWatchdogIsFedWhileTheLoopTurns() throws {
            let socket = try NotifySocket()
            setenv("WATCHDOG_USEC", "100000", 1)
            defer { unsetenv("WATCHDOG_USEC") }
            #expect(try loop.keepWatchdogFed())
            var fed = 0
            try loop.whenReadable(socket.fd) { [unowned loop] in
                if socket.receive() == "WATCHDOG=1" { fed += 1 }
                if fed == 3 { loop.exit(0) }
            }
            #expect(try loop.run() == 0)
        }

        @Test func withoutAWatchdogThereIsNothingToFeed() throws {
            #expect(try !loop.keepWatchdogFed())
        }
    }
}
