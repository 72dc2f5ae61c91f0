// SPDX-License-Identifier: Apache-2.0

import Engine
import Testing

/// When bursts end, over every way in which events can follow one another.
@Suite struct BurstTests {
    @Test func endsAfterQuiet() {
        var burst = Burst(quiet: 200, longest: 2_000)
        #expect(burst.due == nil)
        #expect(burst.end(at: 1_000_000) == false)
        #expect(burst.event(at: 1_000) == 1_200)
        #expect(burst.event(at: 1_150) == 1_350)
        #expect(burst.end(at: 1_349) == false)
        #expect(burst.end(at: 1_350) == true)
        #expect(burst.due == nil)
        #expect(burst.end(at: 9_999) == false)
    }

    @Test func neverLastsLongerThanTheCap() {
        var burst = Burst(quiet: 200, longest: 2_000)
        for time in stride(from: UInt64(0), to: 2_000, by: 100) { _ = burst.event(at: time) }
        #expect(burst.due == 2_000)
        #expect(burst.end(at: 2_000) == true)
        // The next event begins a new burst with a cap of its own.
        #expect(burst.event(at: 2_050) == 2_250)
    }

    @Test func aCapBelowTheQuietTimeGivesWay() {
        var burst = Burst(quiet: 500, longest: 10)
        #expect(burst.event(at: 0) == 500)
    }

    /// Every pattern of events on a small time grid, against the definition of the two limits.
    @Test func everyPattern() {
        let steps = 12
        for pattern in 1..<(1 << steps) {
            var burst = Burst(quiet: 3, longest: 7)
            var first: UInt64?
            var last: UInt64 = 0
            for time in 0..<UInt64(steps + 8) {
                if let begun = first, time >= min(last + 3, begun + 7) {
                    #expect(burst.end(at: time) == true)
                    first = nil
                } else {
                    #expect(burst.end(at: time) == false)
                }
                if time < steps && pattern & 1 << Int(time) != 0 {
                    first = first ?? time
                    last = time
                    #expect(burst.event(at: time) == min(last + 3, (first ?? 0) + 7))
                }
            }
            #expect(first == nil && burst.due == nil)
        }
    }

    @Test func backsOffToItsLimitAndStaysThere() {
        var backoff = Backoff(first: 10, longest: 1_000)
        let waits = (0..<8).map { _ in backoff.wait() }
        #expect(waits == [10, 20, 40, 80, 160, 320, 640, 1_000])
        for _ in 0..<200 {
            let wait = backoff.wait()
            #expect(wait == 1_000)
        }
        var huge = Backoff(first: 1 << 40, longest: .max)
        for _ in 0..<100 {
            let wait = huge.wait()
            #expect(wait >= 1 << 40)
        }
        #expect(Backoff.busy.first < Backoff.unprotected.first)
        #expect(Backoff.unprotected.first < Backoff.stale.first)
    }
}
