// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// When a load is worth its price, against the best choice that hindsight allows.
@Suite struct LoadsTests {
    private static let ms: UInt64 = 1_000
    private static let second: UInt64 = 1_000_000

    /// A machine that changes at some times, and what following it costs by the rule.
    private struct Storm {
        /// When the image became stale again, and by how much.
        let changes: [(time: UInt64, rate: Double)]
        let kind: Loads.Kind
        let window: UInt64

        /// When the rule loads.
        func loads() -> [UInt64] {
            var policy = Loads(windows: [kind: window])
            var loads: [UInt64] = []
            var now: UInt64 = 0
            var rate = 0.0
            for (index, change) in changes.enumerated() {
                let next = index + 1 < changes.count ? changes[index + 1].time : .max
                now = max(now, change.time)
                rate = max(rate, change.rate)
                policy.note(losing: rate, since: change.time, at: now)
                let isOver = next == .max
                let due = policy.due(kind, isOver: isOver, at: now)
                guard due < next else { continue }
                loads.append(due)
                now = due + window
                policy.made(kind, window: window, at: now)
                policy.note(losing: 0, since: now, at: now)
                rate = 0
            }
            return loads
        }

        /// What is lost by loading at `times`: dumps times microseconds.
        func loss(_ times: [UInt64]) -> Double {
            var lost = Double(times.count) * Double(window)
            for (index, change) in changes.enumerated() {
                let followed = times.first { $0 >= change.time } ?? change.time
                // A later change does not make an earlier one worse: the rate is the highest of all.
                let next = index + 1 < changes.count ? changes[index + 1].time : .max
                let end = min(followed, max(next, change.time))
                let before = times.last { $0 < change.time } ?? 0
                let rate =
                    changes.filter { $0.time > before && $0.time <= change.time }
                    .map(\.rate).max() ?? 0
                lost += rate * Double(end - change.time)
            }
            return lost
        }

        /// The least that can be lost, by trying every set of changes to load right after.
        func leastLoss() -> Double {
            // The last one is always loaded after.
            let last: Int = 1 << (changes.count - 1)
            let losses = (last..<2 * last).map { (set: Int) -> Double in
                let loaded = changes.indices.filter { (place: Int) -> Bool in
                    (set >> place) & 1 == 1
                }
                return loss(loaded.map { changes[$0].time })
            }
            return losses.min() ?? 0
        }
    }

    /// Storms of many paces and rates, patched and reloaded: never more than twice the least loss.
    ///
    /// The floor of protection costs more, so these storms stay above it.
    @Test(arguments: [(Loads.Kind.patch, UInt64(2_000)), (.reload, 800_000)])
    func losesAtMostTwiceTheLeast(kind: Loads.Kind, window: UInt64) {
        var dice = Repeatable(13)
        var worst = 0.0
        for _ in 0..<400 {
            let pace = Double.random(in: 0.2...20, using: &dice) * Double(window)
            var time = Double(window)
            let changes = (0..<9).map { _ in
                time += Double.random(in: 0.1...2, using: &dice) * pace
                return (UInt64(time), Double.random(in: 0.05...1, using: &dice))
            }
            let storm = Storm(changes: changes, kind: kind, window: window)
            let loads = storm.loads()
            let span = zip(loads, loads.dropFirst()).map { $1 - $0 }.min() ?? .max
            guard kind == .patch || span > 4 * window else { continue }
            worst = max(worst, storm.loss(loads) / storm.leastLoss())
            #expect(storm.loss(loads) <= 2.01 * storm.leastLoss(), "\(changes): \(loads)")
        }
        #expect(worst > 1.2, "and hindsight is better: \(worst)")
    }

    @Test func theFirstPatchIsTheFirstMeasurement() {
        var policy = Loads()
        policy.note(losing: 0.5, since: 0, at: 0)
        #expect(policy.due(.patch, isOver: false, at: 0) == 0)
        policy.made(.patch, window: 2 * Self.ms, at: 2 * Self.ms)
        policy.note(losing: 0.5, since: 10 * Self.ms, at: 10 * Self.ms)
        #expect(policy.due(.patch, isOver: false, at: 10 * Self.ms) == 14 * Self.ms)
    }

    @Test func whatWasStaleBeforeTheLookCounts() {
        var policy = Loads(windows: [.patch: 2 * Self.ms])
        policy.note(losing: 0.5, since: 0, at: 5 * Self.ms)
        #expect(policy.due(.patch, isOver: false, at: 5 * Self.ms) == 5 * Self.ms)
    }

    @Test func aStaleImageIsFollowedWhenTheStormIsOver() {
        var policy = Loads(windows: [.reload: 900 * Self.ms])
        policy.note(losing: 0.6, since: 0, at: 0)
        #expect(policy.due(.reload, isOver: false, at: 0) == 1_500 * Self.ms)
        #expect(policy.due(.reload, isOver: true, at: 100 * Self.ms) == 100 * Self.ms)
    }

    /// However bad the image gets, over any ten seconds: 99 % with patches, 75 % with reloads.
    @Test(
        arguments: [
            (Loads.Kind.patch, UInt64(2_000), UInt64(100_000)), (.patch, 60_000, 100_000),
            (.reload, 1_000_000, 2_500_000), (.reload, 2_000_000, 2_500_000),
        ])
    func protectionHasAFloor(kind: Loads.Kind, window: UInt64, most: UInt64) {
        var policy = Loads(windows: [kind: window])
        var spans: [(start: UInt64, end: UInt64)] = []
        var now: UInt64 = 0
        while now < 60 * Self.second {
            policy.note(losing: 1, since: now, at: now)
            let due = policy.due(kind, isOver: spans.count.isMultiple(of: 2), at: now)
            spans.append((due, due + window))
            now = due + window
            policy.made(kind, window: window, at: now)
        }
        for span in spans {
            let end = span.start + 10 * Self.second
            let taken = spans.filter { $0.start >= span.start && $0.start < end }
                .reduce(0) { $0 + min($1.end, end) - $1.start }
            #expect(taken <= most, "\(span)")
        }
        #expect(spans.count >= 6)
    }

    @Test func aLongWindowIsPermittedOnceInTheTime() {
        var policy = Loads()
        policy.made(.reload, window: 4 * Self.second, at: 4 * Self.second)
        #expect(policy.due(.reload, isOver: true, at: 5 * Self.second) == 14 * Self.second)
        #expect(policy.due(.reload, isOver: true, at: 15 * Self.second) == 15 * Self.second)
    }

    /// All that comes after it is lost.
    @Test func theLastLoadWaitsForTheEndOfAStorm() {
        var policy = Loads(windows: [.patch: 1_000])
        policy.note(losing: 1, since: 0, at: 60 * Self.second)
        let now = 60 * Self.second
        #expect(policy.due(.patch, isOver: false, at: now) == now)
        #expect(policy.due(.patch, isOver: false, isLast: true, at: now) > now)
        #expect(policy.due(.patch, isOver: true, isLast: true, at: now) == now)
    }

    @Test func oneSlowLoadDoesNotDecide() {
        var policy = Loads(windows: [.patch: 1_000])
        policy.made(.patch, window: 9_000, at: 0)
        #expect(policy.windows[.patch] == 3_000)
        for _ in 0..<20 { policy.made(.patch, window: 1_000, at: 0) }
        #expect((1_000..<1_010).contains(policy.windows[.patch] ?? 0))
    }
}
