// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// When events are acted on, over many ways in which they can follow one another.
@Suite struct BurstTests {
    private static let ms: UInt64 = 1_000
    private static let second: UInt64 = 1_000_000

    /// When a policy acts if events come at `times` and it is called at each moment it asks for.
    private func acts(_ times: [UInt64], _ cost: Burst.Cost) -> [UInt64] {
        var burst = Burst()
        burst.cost = cost
        var acts: [UInt64] = []
        for time in times + [UInt64.max] {
            while let due = burst.due, due < time {
                let early = burst.act(at: due - 1)
                let acted = burst.act(at: due)
                #expect(!early && acted)
                guard acted else { return acts }
                acts.append(due)
            }
            if time < .max {
                let due = burst.event(at: time)
                #expect(due == burst.due)
            }
        }
        #expect(burst.due == nil)
        return acts
    }

    private func storm(every gap: UInt64, count: UInt64, from start: UInt64 = 0) -> [UInt64] {
        (0..<count).map { start + $0 * gap }
    }

    @Test func aSingleEventIsActedOnAtOnceWhereThatIsCheap() {
        #expect(acts([5 * Self.ms], .patch) == [25 * Self.ms])
        #expect(acts([5 * Self.ms], .reload) == [105 * Self.ms])
    }

    @Test func aStormIsFollowedInItsBeginningAndEndsInTheImage() {
        let times = storm(every: 40 * Self.ms, count: 1_024)
        let patches = acts(times, .patch)
        #expect(patches.count <= 12, "\(patches)")
        #expect(patches[0] == 20 * Self.ms && patches[1] < 300 * Self.ms)
        #expect(patches.last == times[1_023] + 100 * Self.ms)
        let reloads = acts(times, .reload)
        #expect(reloads.count <= 6, "\(reloads)")
        #expect(reloads[0] == 2 * Self.second)
        #expect((reloads.last ?? 0) <= times[1_023] + 4 * Self.second)
    }

    @Test func anEndlessStormIsFollowedTwiceAMinute() {
        let hour = acts(storm(every: 50 * Self.ms, count: 72_000), .patch)
        #expect((120...130).contains(hour.count), "\(hour.count)")
        let gaps = zip(hour, hour.dropFirst()).map { $1 - $0 }
        #expect((gaps.max() ?? .max) <= 30 * Self.second)
    }

    @Test func reloadsLeaveTheMachineProtectedMostOfTheTime() {
        let times = storm(every: Self.second * 3 / 2, count: 100)
        let reloads = acts(times, .reload)
        let gaps = zip(reloads, reloads.dropFirst()).map { $1 - $0 }
        #expect((gaps.min() ?? 0) >= 4 * Self.second)
        #expect(acts(times, .patch).count == 100, "each is a storm of its own")
    }

    /// What comes after the last load is lost, so it is made once, in silence.
    @Test func theLastLoadWaitsForTheEndOfAStorm() {
        #expect(acts([0], .lastLoad) == [Self.second])
        let times = storm(every: 40 * Self.ms, count: 512)
        #expect(acts(times, .lastLoad) == [times[511] + Self.second])
        let endless = storm(every: 500 * Self.ms, count: 100)
        #expect(acts(endless, .lastLoad).first == 30 * Self.second)
    }

    @Test func silenceIsTheOperatorsToSay() {
        var burst = Burst(quiet: 5 * Self.second)
        #expect(burst.event(at: 0) == 20 * Self.ms)
        _ = burst.act(at: 20 * Self.ms)
        #expect(burst.event(at: 30 * Self.ms) == 20 * Self.ms + 5 * Self.second)
        burst.cost = .reload
        #expect(burst.due == 20 * Self.ms + 5 * Self.second)
    }

    /// Every pattern of events on a grid: each event is acted on, and never later than promised.
    @Test(arguments: [Burst.Cost.patch, .reload]) func everyPattern(cost: Burst.Cost) {
        let steps = 12
        for pattern in 1..<(1 << steps) {
            let times = (0..<steps).filter { pattern & 1 << $0 != 0 }
                .map { UInt64($0) * 60 * Self.ms }
            let acts = acts(times, cost)
            for time in times {
                let next = acts.first { $0 >= time }
                let latest: UInt64 = cost == .patch ? 800 * Self.ms : 6 * Self.second
                #expect(next.map { $0 - time <= latest } ?? false, "\(times) \(acts)")
            }
            #expect(acts.last.map { $0 - (times.last ?? 0) <= 4_100 * Self.ms } ?? false)
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
