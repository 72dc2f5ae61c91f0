// SPDX-License-Identifier: Apache-2.0

/// Decides when to look at the machine after hotplug events: at once, as long as the budget lasts;
/// pure.
///
/// A look takes no lock and costs no protection, only CPU time, so that is what is limited: a
/// twentieth of one CPU, of which a hundred seconds can be saved up. A storm that lasts seconds is
/// followed event by event; in one that never ends, looks take a twentieth of a CPU. Whether a look
/// is followed by a load is for ``Loads`` to decide.
///
/// All times are microseconds of one monotonic clock; the type reads no clock and does not look.
package struct Looks: Equatable {
    /// What makes a look due.
    package enum Occasion {
        /// An event came, or what it announced may only have come by now; and more may follow.
        case event
        /// No event has come for a while, or the storm has lasted long enough to be taken stock of.
        case silence
    }

    /// How long without an event a burst is over, in microseconds.
    ///
    /// 100 ms: the events of one DIMM's blocks come 20 to 50 ms apart under emulation, where setting
    /// a block online is slowest, and less than 1 ms apart on real machines.
    package static let defaultQuiet: UInt64 = 100_000
    /// The share of one CPU that looks may take: one in so many.
    private static let share: UInt64 = 20
    /// How much CPU time can be saved up, in microseconds: the share of a hundred seconds.
    ///
    /// 64 DIMMs that come within 15 s take 2 to 4 s of looks under emulation, and a tenth of that on
    /// real machines.
    private static let savings: Int64 = 5_000_000
    /// The longest time that a storm goes on without being taken stock of.
    ///
    /// What must wait for silence waits no longer than that: a load that is the last one, and a reload
    /// of an image that nobody can read.
    private static let patience: UInt64 = 30_000_000
    /// How long without an event counts as silence, if only one load is left until the next boot.
    private static let calm: UInt64 = 1_000_000

    /// How long after a look the next one comes at least, if no event calls for it, in microseconds.
    ///
    /// The kernel says that a block goes before its folder is gone (drivers/base/core.c, `device_del`), and
    /// lets go of the RAM after that, without a word. Under emulation that takes 1 to 55 ms, and a check
    /// that finds nothing new 2 ms.
    private static let pause: UInt64 = 10_000

    /// What has not been looked for: since when it may have happened, and when to look.
    private struct Wait: Equatable {
        let since: UInt64
        let due: UInt64
    }

    /// Whether the next load is the last until the next boot: what comes after it is lost.
    package var isLastLoad = false
    private let quiet: UInt64
    private var waiting: Wait?
    /// When events began that have not been taken stock of, and when the last one was.
    private var burst: (first: UInt64, last: UInt64)?
    /// CPU time that is saved up, or owed if negative, and when that was counted.
    private var account: (saved: Int64, at: UInt64) = (Looks.savings, 0)

    /// Creates a policy; `quiet` microseconds without an event are silence.
    package init(quiet: UInt64 = defaultQuiet) {
        self.quiet = quiet
    }

    /// Notes an event and returns when to look if no more events come.
    package mutating func event(at now: UInt64) -> UInt64 {
        if (waiting?.due ?? .max) > now { waiting = Wait(since: now, due: now) }
        burst = (burst?.first ?? now, now)
        return due ?? now
    }

    /// When to look if no more events come; `nil` if there is nothing to look for.
    package var due: UInt64? {
        guard let silence else { return nil }
        guard let waiting else { return silence }
        return min(max(waiting.due, affordable), silence)
    }

    /// If a look is due at `now`, counts all events so far as looked for; returns why it is due, and
    /// since when there has been something to see.
    package mutating func begin(at now: UInt64) -> (occasion: Occasion, since: UInt64)? {
        guard let due, let silence, let last = burst?.last, now >= due else { return nil }
        let since = waiting?.since ?? now
        guard now >= silence else {
            // Twice as long after the last event, and so on until silence.
            waiting = Wait(since: now, due: now + max(Looks.pause, now - min(now, last)))
            return (.event, since)
        }
        (waiting, burst) = (nil, nil)
        return (.silence, since)
    }

    /// Notes how much CPU time a look has taken, in microseconds.
    package mutating func spent(_ time: UInt64, at now: UInt64) {
        let earned = Int64(clamping: (now - min(now, account.at)) / Looks.share)
        let saved = min(Looks.savings, account.saved.addingReportingOverflow(earned).partialValue)
        account = (saved - Int64(clamping: min(time, Looks.patience)), now)
    }

    /// When a burst counts as over.
    private var silence: UInt64? {
        burst.map { burst in
            min(
                burst.last + (isLastLoad ? max(quiet, Looks.calm) : quiet),
                burst.first + max(quiet, Looks.patience))
        }
    }

    /// When no CPU time is owed any more.
    private var affordable: UInt64 {
        account.saved >= 0 ? 0 : account.at + UInt64(-account.saved) * Looks.share
    }

    /// Two policies are equal if they treat every later event alike.
    package static func == (left: Looks, right: Looks) -> Bool {
        left.quiet == right.quiet && left.isLastLoad == right.isLastLoad
            && left.waiting == right.waiting && left.account == right.account
            && left.burst?.first == right.burst?.first && left.burst?.last == right.burst?.last
    }
}
