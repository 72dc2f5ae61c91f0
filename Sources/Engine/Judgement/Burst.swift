// SPDX-License-Identifier: Apache-2.0

/// Decides when to act on hotplug events, so that the image is never stale for long but a storm of
/// events does not cause a storm of refreshes; pure.
///
/// One DIMM sends two events for each memory block, hundreds within seconds, and after each of them
/// the image is a little more stale. A patch costs next to nothing, so the daemon acts on the first
/// event almost at once, again each time the burst has doubled its age, and once more after the
/// last event. The number of acts is the logarithm of the length of the burst. If only a reload is
/// possible, which leaves the machine unprotected for a second, all of this is slower: a stale
/// image still gives a dump of nearly everything, and no image gives none.
///
/// All times are microseconds of one monotonic clock; the type reads no clock and does not act.
package struct Burst: Equatable {
    /// What it costs to act.
    package enum Cost {
        /// About a millisecond without protection.
        case patch
        /// About a second without protection.
        case reload
        /// The last load until the next boot: what comes after it is lost, so it waits for silence.
        case lastLoad
    }

    /// How long without an event a burst is over, in microseconds.
    ///
    /// 100 ms: the events of one DIMM's blocks come 20 to 50 ms apart under emulation, where
    /// setting a block online is slowest, and less than 1 ms apart on real machines.
    package static let defaultQuiet: UInt64 = 100_000
    /// How long after the first event a patch is due.
    ///
    /// 20 ms: the `add` and `online` of a block, and all blocks of a small DIMM, become one act.
    private static let lead: UInt64 = 20_000
    /// How long after the first event a reload is due, unless the burst is over before.
    private static let patience: UInt64 = 2_000_000
    /// The shortest and the longest time from one act to the next while events keep coming.
    ///
    /// In a burst that lasts minutes, the image is never more than half a minute behind. 1024
    /// events, which take half a minute to a minute under emulation, become about ten acts.
    private static let gaps: (shortest: UInt64, longest: UInt64) = (200_000, 30_000_000)
    /// The shortest time from one reload to the next.
    ///
    /// 4 s: at most a quarter of the time is then unprotected; kdump-utils' throttle is as long.
    private static let rest: UInt64 = 4_000_000
    /// How long without an event until the next one starts a new burst.
    private static let calm: UInt64 = 1_000_000

    /// What the next act will cost.
    package var cost = Cost.patch
    private let quiet: UInt64
    /// The first and the last event of the burst; `nil` before any.
    private var storm: (first: UInt64, last: UInt64)?
    /// The first event that has not been acted on.
    private var waiting: UInt64?
    /// When the last act was.
    private var acted: UInt64?

    /// Creates a policy; after `quiet` microseconds without an event, the last act of a burst is
    /// due.
    package init(quiet: UInt64 = defaultQuiet) {
        self.quiet = quiet
    }

    /// Notes an event and returns when to act if no more events come.
    package mutating func event(at now: UInt64) -> UInt64 {
        let isSame = storm.map { now < $0.last + Burst.calm } ?? false
        storm = (isSame ? storm?.first ?? now : now, now)
        waiting = waiting ?? now
        return due ?? now
    }

    /// When to act if no more events come; `nil` if there is nothing to act on.
    package var due: UInt64? {
        guard let storm, let waiting else { return nil }
        if cost == .lastLoad {
            return min(storm.last + max(quiet, Burst.calm), waiting + Burst.gaps.longest)
        }
        guard let acted, acted >= storm.first else {
            let soonest =
                cost == .patch
                ? min(storm.first + Burst.lead, storm.last + quiet)
                : min(storm.last + quiet, storm.first + max(quiet, Burst.patience))
            return max(soonest, rested)
        }
        let age = acted - storm.first
        let gap = min(max(age, Burst.gaps.shortest, quiet), Burst.gaps.longest)
        return max(min(storm.last + quiet, max(acted + gap, waiting + Burst.lead)), rested)
    }

    /// If an act is due at `now`, counts all events so far as acted on; returns whether it is due.
    package mutating func act(at now: UInt64) -> Bool {
        guard let due, now >= due else { return false }
        waiting = nil
        acted = now
        return true
    }

    /// The earliest time for the next act, because of the last one.
    private var rested: UInt64 {
        guard let acted, cost == .reload else { return 0 }
        return acted + Burst.rest
    }

    /// Two policies are equal if they treat every later event alike.
    package static func == (left: Burst, right: Burst) -> Bool {
        left.quiet == right.quiet && left.cost == right.cost && left.waiting == right.waiting
            && left.acted == right.acted && left.storm?.first == right.storm?.first
            && left.storm?.last == right.storm?.last
    }
}
