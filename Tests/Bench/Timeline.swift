// SPDX-License-Identifier: Apache-2.0

/// For how long a machine's crash kernel was not what it should be: pure arithmetic on what was seen.
///
/// Ready is: loaded, no load under way, and all memory that is online is in the core header. All times
/// are microseconds of one clock.
struct Timeline {
    /// Intervals without protection, ordered.
    let unprotected: [ClosedRange<Double>]
    /// When which number of bytes came online.
    let online: [(time: Double, bytes: UInt64)]
    /// When the header began to list how many bytes; the first line is the state before the storm.
    let coverage: [Observation.Coverage]

    /// The time without protection.
    var unprotectedTime: Double { unprotected.map { $0.upperBound - $0.lowerBound }.reduce(0, +) }

    /// The whole time from the first online memory on in which the image was not ready.
    var staleTime: Double { stale.map { $0.upperBound - $0.lowerBound }.reduce(0, +) }

    /// How long after the last memory came online it was not ready for the last time.
    var staleTimeAfterwards: Double {
        guard let last = online.map(\.time).max(), let end = stale.last?.upperBound else {
            return 0
        }
        return max(0, end - last)
    }

    /// Intervals in which the image was not ready, ordered and apart from each other.
    var stale: [ClosedRange<Double>] {
        guard let first = online.map(\.time).min() else { return [] }
        let times =
            (online.map(\.time) + coverage.map(\.time)
            + unprotected.flatMap { [$0.lowerBound, $0.upperBound] }).filter { $0 >= first }
        var intervals: [ClosedRange<Double>] = []
        let ordered = Array(Set(times)).sorted()
        for (start, end) in zip(ordered, ordered.dropFirst()) where !isReady(at: (start + end) / 2)
        {
            if let last = intervals.last, last.upperBound == start {
                intervals[intervals.count - 1] = last.lowerBound...end
            } else {
                intervals.append(start...end)
            }
        }
        return intervals
    }

    private func isReady(at time: Double) -> Bool {
        guard !unprotected.contains(where: { $0.contains(time) }) else { return false }
        let needed = online.filter { $0.time <= time }.map(\.bytes).reduce(0, +)
        let before = coverage.first?.bytes ?? 0
        let now = coverage.last { $0.time <= time }?.bytes ?? before
        return now >= before + needed
    }
}
