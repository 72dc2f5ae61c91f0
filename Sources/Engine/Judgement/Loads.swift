// SPDX-License-Identifier: Apache-2.0

/// Decides when a load is worth its price; pure.
///
/// For as long as the image is stale, a crash loses part of the dump. For as long as a load lasts, a
/// crash loses all of it. While events keep coming nobody knows how soon the next load will be
/// needed, so the rule is that of the ski rental problem: load when what has been lost by waiting is
/// as much as the load costs. Whatever the future brings, that loses at most twice as much as the
/// best choice made with hindsight (Dooly, Goldman and Scott, "On-line analysis of the TCP
/// acknowledgment delay problem", Journal of the ACM 48, 2001, which is this problem with packets).
///
/// The price is the window that this machine has measured, so the rule is the same for a patch of
/// milliseconds and a reload of seconds. After a storm nothing is left to wait for, and the load is
/// made at once. In any case protection has a floor: see ``Kind``.
///
/// All times are microseconds of one monotonic clock; the type reads no clock and does not load.
package struct Loads: Hashable {
    /// How an image is brought up to date.
    package enum Kind: String, Hashable, Codable, CaseIterable {
        /// By replacing parts of it.
        case patch
        /// By loading all of it again.
        case reload

        /// The most time of any ten seconds that loads of this kind may take, in microseconds: one
        /// hundredth, or a quarter.
        var most: UInt64 { self == .patch ? 100_000 : 2_500_000 }

        /// What is assumed of its window until one has been measured.
        ///
        /// Nothing, so that the first patch is made at once: it is the first measurement. A reload takes
        /// about a second, and one that was made too early is not made good.
        var assumed: UInt64 { self == .patch ? 0 : 1_000_000 }
    }

    /// The time over which protection is counted, in microseconds.
    private static let span: UInt64 = 10_000_000
    /// How much a new window counts: one part in so many, so that one slow load does not decide.
    private static let memory: UInt64 = 4

    /// The usual windows of this machine, in microseconds.
    private(set) package var windows: [Kind: UInt64]
    /// The last loads: when each ended, and how long it took.
    private var recent: [Recent] = []
    /// What has been lost since the image went stale, in microseconds of a whole dump.
    private var lost = 0.0
    /// How much of a dump would be lost at the moment, 0 to 1, and since when.
    private var rate = 0.0
    private var counted: UInt64 = 0

    private struct Recent: Hashable {
        let end: UInt64
        let window: UInt64
    }

    /// Creates a policy that knows these windows.
    package init(windows: [Kind: UInt64] = [:]) {
        self.windows = windows
    }

    /// Notes what a look at `now` has found: the image loses the share `rate` of a dump, 0 if it is
    /// right; if it was right before, it has been losing that `since` an event.
    package mutating func note(losing rate: Double, since: UInt64, at now: UInt64) {
        if self.rate > 0 {
            lost += self.rate * Double(now - min(now, counted))
        } else {
            lost = rate * Double(now - min(now, since))
        }
        (self.rate, counted) = (rate, now)
        if rate == 0 { lost = 0 }
    }

    /// Notes a load that has just ended.
    package mutating func made(_ kind: Kind, window: UInt64, at now: UInt64) {
        let usual = windows[kind] ?? window
        // Rounded up: a window is never forgotten to nothing.
        windows[kind] = (usual * (Loads.memory - 1) + window + Loads.memory - 1) / Loads.memory
        recent.removeAll { $0.end + Loads.span <= now }
        recent.append(Recent(end: now, window: window))
        (lost, rate) = (0, 0)
    }

    /// The earliest time from `now` on at which a load of this kind is worth it; `now` if it is.
    ///
    /// Once a storm `isOver`, only the floor of protection makes it wait. If it `isLast` until the next
    /// boot, all that comes after it is lost, so it waits for the end of the storm.
    package func due(
        _ kind: Kind, isOver: Bool, isLast: Bool = false, at now: UInt64
    ) -> UInt64 {
        let worthwhile =
            isOver ? now : isLast ? now + Loads.span : worthwhile(kind, at: now)
        return max(worthwhile, permitted(kind, at: now))
    }

    /// When the loss by waiting is as much as the load costs.
    private func worthwhile(_ kind: Kind, at now: UInt64) -> UInt64 {
        let price = Double(windows[kind] ?? kind.assumed)
        let soFar = lost + rate * Double(now - min(now, counted))
        guard soFar < price else { return now }
        guard rate > 0 else { return now + Loads.span }
        return now + UInt64(((price - soFar) / rate).rounded(.up))
    }

    /// When the floor of protection permits a load.
    private func permitted(_ kind: Kind, at now: UInt64) -> UInt64 {
        let window = windows[kind] ?? kind.assumed
        var time = now
        var taken = recent.filter { $0.end + Loads.span > now }
        while !taken.isEmpty, taken.reduce(window, { $0 + $1.window }) > kind.most {
            // A window longer than that is permitted once in the time.
            time = taken.removeFirst().end + Loads.span
        }
        return time
    }
}
