// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// When events are looked for, over many ways in which they can follow one another.
@Suite struct LooksTests {
    private static let ms: UInt64 = 1_000
    private static let second: UInt64 = 1_000_000

    private struct Look: Equatable {
        let time: UInt64
        var isSilence = false
        var cost: UInt64 = 0
    }

    /// When a policy looks if events come at `times`, each look takes `cost` of CPU time, a tenth of that
    /// if nothing has happened, and it is called at each moment it asks for.
    private func looks(
        _ times: [UInt64], cost: UInt64 = 10 * ms, isLastLoad: Bool = false
    ) -> [Look] {
        var policy = Looks()
        policy.isLastLoad = isLastLoad
        var looks: [Look] = []
        var isNew = false
        for time in times + [UInt64.max] {
            while let due = policy.due, due < time {
                if due > 0 {
                    let early = policy.begin(at: due - 1)
                    #expect(early == nil)
                }
                guard let (occasion, since) = policy.begin(at: due) else {
                    Issue.record("nothing is due at \(due)")
                    return looks
                }
                #expect(since <= due)
                let look = Look(
                    time: due, isSilence: occasion == .silence,
                    cost: occasion == .silence ? 0 : isNew ? cost : cost / 10)
                looks.append(look)
                isNew = false
                if occasion == .event { policy.spent(look.cost, at: due) }
            }
            if time < .max {
                isNew = true
                let due = policy.event(at: time)
                #expect(due == policy.due)
            }
        }
        #expect(policy.due == nil)
        return looks
    }

    private func storm(every gap: UInt64, count: UInt64) -> [UInt64] {
        (0..<count).map { $0 * gap }
    }

    /// What an event announces may come a little later, so it is looked for again before silence.
    @Test func anEventIsLookedForAtOnceAndAgainUntilSilence() {
        let all = looks([5 * Self.ms])
        #expect(all.map { $0.time / Self.ms } == [5, 15, 25, 45, 85, 105])
        #expect(all.map(\.isSilence) == [false, false, false, false, false, true])
    }

    @Test func anEventBetweenTwoLooksIsNotKeptWaiting() {
        let all = looks([0, 12 * Self.ms, 15 * Self.ms])
        #expect(all.prefix(4).map { $0.time / Self.ms } == [0, 10, 12, 15])
    }

    @Test func aStormIsFollowedEventByEvent() {
        // 64 DIMMs, each of which is looked for twice.
        let times = storm(every: 100 * Self.ms - 1, count: 128)
        let all = looks(times, cost: 20 * Self.ms)
        #expect(times.allSatisfy { time in all.contains { $0.time == time } })
        #expect(all.last?.isSilence == true && all.count { $0.isSilence } == 1)
    }

    @Test func anEndlessStormTakesATwentiethOfACPU() {
        let cost = 30 * Self.ms
        let hour = looks(storm(every: 50 * Self.ms, count: 72_000), cost: cost)
        let used = hour.reduce(0) { $0 + $1.cost }
        #expect(used <= 3_600 * Self.second / 20 + 5 * Self.second + cost, "\(used)")
        #expect(used >= 3_500 * Self.second / 20, "it takes what it may")
        let silences = hour.filter(\.isSilence).map(\.time)
        let gaps = zip(silences, silences.dropFirst()).map { $1 - $0 }
        #expect((gaps.max() ?? .max) <= 31 * Self.second, "stock is taken all the same")
    }

    @Test func debtsArePaidBeforeTheNextLook() {
        var policy = Looks()
        _ = policy.event(at: 0)
        _ = policy.begin(at: 0)
        policy.spent(6 * Self.second, at: 0)
        let due = policy.event(at: 10)
        #expect(due == 100 * Self.ms + 10, "silence is not paid for")
        _ = policy.begin(at: due)
        var later = due
        for _ in 0..<600 {
            later += 50 * Self.ms
            _ = policy.event(at: later)
            if let (occasion, _) = policy.begin(at: later), occasion == .event { break }
        }
        #expect(later >= 20 * Self.second && later < 21 * Self.second, "\(later)")
    }

    /// What comes after the last load is lost, so silence must be longer before it.
    @Test func theLastLoadWaitsForTheEndOfAStorm() {
        let times = storm(every: 500 * Self.ms, count: 20)
        let silences = looks(times, isLastLoad: true).filter(\.isSilence).map(\.time)
        #expect(silences == [times[19] + Self.second])
        let endless = looks(storm(every: 500 * Self.ms, count: 100), isLastLoad: true)
        #expect(endless.first(where: \.isSilence)?.time == 30 * Self.second)
    }

    @Test func silenceIsTheOperatorsToSay() {
        var policy = Looks(quiet: 5 * Self.second)
        let due = policy.event(at: 0)
        #expect(due == 0)
        while let due = policy.due, let look = policy.begin(at: due) {
            #expect((look.occasion == .silence) == (due == 5 * Self.second))
        }
    }

    /// Every pattern of events on a grid: each event is looked for at once, and the last one again.
    @Test func everyPattern() {
        let steps = 12
        for pattern in 1..<(1 << steps) {
            let times = (0..<steps).filter { pattern & 1 << $0 != 0 }
                .map { UInt64($0) * 60 * Self.ms }
            let all = looks(times)
            #expect(times.allSatisfy { time in all.contains { $0.time == time } })
            #expect(
                all.last == Look(time: (times.last ?? 0) + 100 * Self.ms, isSilence: true))
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
