// SPDX-License-Identifier: Apache-2.0

/// Folds hotplug events that belong together into one occasion to act.
///
/// One DIMM sends two events a memory block, hundreds within seconds, and the machine it describes
/// is only complete at the end; a reload for each would leave the machine without protection for
/// most of that time. A burst is over when it has been quiet for a while, or at the latest a fixed
/// time after its first event, so that an endless storm cannot postpone protection for ever. All
/// times are microseconds of one monotonic clock; the type reads no clock.
package struct Burst: Equatable {
    /// How long silence lasts before a burst is over.
    ///
    /// 200 ms: the kernel sends the events of one DIMM's blocks milliseconds apart, and releases
    /// removed memory only after its last event.
    package static let defaultQuiet: UInt64 = 200_000
    /// How long a burst may last.
    ///
    /// 2 s: with reloads of about one second this bounds a storm's share of unprotected time to a
    /// third.
    package static let defaultLongest: UInt64 = 2_000_000

    private let quiet: UInt64
    private let longest: UInt64
    private var times: (first: UInt64, last: UInt64)?

    /// Creates a folding of events with its two times.
    package init(quiet: UInt64 = defaultQuiet, longest: UInt64 = defaultLongest) {
        self.quiet = quiet
        // A cap below the quiet time would end every burst before its silence can.
        self.longest = max(longest, quiet)
    }

    /// Notes an event and returns when the burst is over if no further one comes.
    package mutating func event(at now: UInt64) -> UInt64 {
        let first = times?.first ?? now
        times = (first, now)
        return min(now + quiet, first + longest)
    }

    /// When the burst is over if no further event comes; `nil` where none is under way.
    package var due: UInt64? {
        times.map { min($0.last + quiet, $0.first + longest) }
    }

    /// Ends the burst if it is due at `now`, and returns whether it was.
    package mutating func end(at now: UInt64) -> Bool {
        guard let due, now >= due else { return false }
        times = nil
        return true
    }

    /// Two foldings are equal when they would answer alike to every further event.
    package static func == (left: Burst, right: Burst) -> Bool {
        left.quiet == right.quiet && left.longest == right.longest
            && left.times?.first == right.times?.first && left.times?.last == right.times?.last
    }
}
