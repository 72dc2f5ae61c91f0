// SPDX-License-Identifier: Apache-2.0

/// For how long a machine's crash kernel was not what it should be: pure arithmetic on what was seen.
///
/// Ready is: loaded, no load under way, all memory that is in use is in the core header, and nothing
/// that is gone. All times are microseconds of one clock, all addresses physical.
struct Timeline {
    /// A change of the machine's memory.
    struct Change {
        /// What happened to it.
        enum Kind {
            /// It is there; it may be listed, and need not be.
            case added
            /// It is in use, and must be listed.
            case online
            /// It is in use no more.
            case offline
            /// It is gone, and must not be listed.
            case removed
        }

        let time: Double
        let kind: Kind
        let range: Range<UInt64>
    }

    /// Intervals without protection, ordered.
    let unprotected: [ClosedRange<Double>]
    /// What happened to the memory, ordered.
    let changes: [Change]
    /// When the header began to list which memory; the first line is the state before the storm.
    let coverage: [Observation.Coverage]

    /// The time without protection.
    var unprotectedTime: Double { unprotected.map { $0.upperBound - $0.lowerBound }.reduce(0, +) }

    /// The whole time in which the image was not ready, from the first change on.
    var staleTime: Double { stale.map { $0.upperBound - $0.lowerBound }.reduce(0, +) }

    /// How long after the last change it was not ready for the last time.
    var staleTimeAfterwards: Double {
        guard let last = decisive.last, let end = stale.last?.upperBound else { return 0 }
        return max(0, end - last)
    }

    /// The share of the storm in which a crash would have lost the dump or part of it, from the first
    /// change to the end of the last time in which it would.
    var loss: Double {
        guard let first = decisive.first, let last = decisive.last else { return 0 }
        let end = max(last, stale.last?.upperBound ?? last)
        return end > first ? staleTime / (end - first) : 0
    }

    /// When memory came into use or was gone.
    private var decisive: [Double] {
        changes.filter { $0.kind == .online || $0.kind == .removed }.map(\.time).sorted()
    }

    /// Intervals in which the image was not ready, ordered and apart from each other.
    var stale: [ClosedRange<Double>] {
        guard let first = decisive.first else { return [] }
        let times =
            (changes.map(\.time) + coverage.map(\.time)
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
        // Memory of the boot may lie above 4 GiB, too, and is always listed.
        let before = coverage.first?.ranges ?? RangeSet()
        let now = (coverage.last { $0.time <= time }?.ranges ?? before).subtracting(before)
        var present = RangeSet<UInt64>()
        var used = RangeSet<UInt64>()
        for change in changes where change.time <= time {
            switch change.kind {
            case .added: present.insert(contentsOf: change.range)
            case .online: used.insert(contentsOf: change.range)
            case .offline: used.remove(contentsOf: change.range)
            case .removed: present.remove(contentsOf: change.range)
            }
        }
        return used.isSubset(of: now) && now.isSubset(of: present)
    }
}
