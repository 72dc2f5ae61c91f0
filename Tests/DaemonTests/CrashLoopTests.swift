// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// How long a daemon waits whose predecessors have crashed.
    @Suite struct CrashLoopTests {
        private let second: UInt64 = 1_000_000

        @Test func waitsLongerAfterEachCrash() {
            var last: CrashLoop?
            var waits: [UInt64] = []
            var now = 5 * second
            for _ in 0..<10 {
                let this = CrashLoop(after: last, now: now)
                waits.append(this.wait / second)
                now += this.wait + 3 * second
                last = this
            }
            #expect(waits == [0, 0, 2, 4, 8, 16, 32, 60, 60, 60])
        }

        @Test func forgetsCrashesAfterACalmTime() {
            let first = CrashLoop(after: nil, now: 0)
            var loop = first
            for _ in 0..<5 { loop = CrashLoop(after: loop, now: loop.start + second) }
            #expect(loop.crashes == 5 && loop.wait == 16 * second)
            let short = loop.start + loop.wait + CrashLoop.calm - 1
            #expect(CrashLoop(after: loop, now: short).crashes == 6)
            #expect(CrashLoop(after: loop, now: short + 1).crashes == 1)
            // A clock that has been set back is none to go by.
            #expect(CrashLoop(after: loop, now: 0).crashes == 6)
            #expect(CrashLoop(after: nil, now: short).crashes == 0, "it was told to stop")
        }
    }
}
