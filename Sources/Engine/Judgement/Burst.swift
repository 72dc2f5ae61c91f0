// SPDX-License-Identifier: Apache-2.0

/// Decides when hotplug events are acted on, so that the image is never stale for long and yet no
/// storm of events makes a storm of refreshes; pure.
///
/// One DIMM sends two events a memory block, hundreds within seconds, and after each of them the
/// image is a little stale. So the first event is acted on at once where acting costs next to
/// nothing; while more keep coming, each next act comes when the storm has grown to twice its age, so
/// that their number is its logarithm; and the last one comes after silence. Where only a reload is
/// possible, which leaves the machine without protection for a second, all of that is slower: a stale
/// image still gives a dump of nearly everything, and no image gives none.
///
/// All times are microseconds of one monotonic clock; the type reads no clock and does not act.
package struct Burst: Equatable {
    /// What an act costs.
    package enum Cost {
        /// At most about a millisecond without protection.
        case patch
        /// About a second without protection.
        case reload
        /// The last load until the next boot: what comes after it is lost, so it waits for silence.
        case lastLoad
    }

    /// How long silence lasts before the last event of a storm is acted on.
    ///
    /// 100 ms: the events of one DIMM's blocks come 20 to 50 ms apart under emulation, where setting a
    /// block online is slowest, and less than 1 ms apart on real machines.
    package static let defaultQuiet: UInt64 = 100_000
    /// How long after the first event a patch is due.
    ///
    /// 20 ms: a block's `add` and `online`, and all blocks of a small DIMM, are one act.
    private static let lead: UInt64 = 20_000
    /// How long after the first event a reload is due, if there is no silence before.
    private static let patience: UInt64 = 2_000_000
    /// The shortest and the longest time from one act to the next while events keep coming.
    ///
    /// Half a minute bounds how much of a storm that lasts for minutes an image can miss; 1024
    /// events, half a minute to a minute under emulation, then are about ten acts.
    private static let gaps: (shortest: UInt64, longest: UInt64) = (200_000, 30_000_000)
    /// The shortest time from one reload to the next, come what may.
    ///
    /// 4 s: it bounds the share of unprotected time to a quarter; the peers' own throttle is as long.
    private static let rest: UInt64 = 4_000_000
    /// After how long without an event the next one is no part of the same storm.
    private static let calm: UInt64 = 1_000_000

    /// What the next act will cost.
    package var cost = Cost.patch
    private let quiet: UInt64
    /// The first and the last event of the storm; `nil` before any.
    private var storm: (first: UInt64, last: UInt64)?
    /// The first event that has not been acted on.
    private var waiting: UInt64?
    /// When was acted last.
    private var acted: UInt64?

    /// Creates a policy; `quiet` is the silence before the last act of a storm.
    package init(quiet: UInt64 = defaultQuiet) {
        self.quiet = quiet
    }

    /// Notes an event and returns when to act if no further one comes.
    package mutating func event(at now: UInt64) -> UInt64 {
        let isSame = storm.map { now < $0.last + Burst.calm } ?? false
        storm = (isSame ? storm?.first ?? now : now, now)
        waiting = waiting ?? now
        return due ?? now
    }

    /// When to act if no further event comes; `nil` where there is nothing to act on.
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

    /// Takes all events so far as acted on if that is due at `now`, and returns whether it is.
    package mutating func act(at now: UInt64) -> Bool {
        guard let due, now >= due else { return false }
        waiting = nil
        acted = now
        return true
    }

    /// Before when no act is right, because of the one before.
    private var rested: UInt64 {
        guard let acted, cost == .reload else { return 0 }
        return acted + Burst.rest
    }

    /// Two policies are equal when they would answer alike to every further event.
    package static func == (left: Burst, right: Burst) -> Bool {
        left.quiet == right.quiet && left.cost == right.cost && left.waiting == right.waiting
            && left.acted == right.acted && left.storm?.first == right.storm?.first
            && left.storm?.last == right.storm?.last
    }
}
