// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What the daemon has counted since the machine was booted; pure.
///
/// A restarted daemon goes on counting from the saved state, which lies in `/run`. It counts what
/// was done; how the machine is now is the report's business.
struct Tally: Codable, Equatable {
    /// The refreshes, by method.
    private(set) var patches = 0
    private(set) var replays = 0
    private(set) var reloads = 0
    /// The attempts after which the image was not right.
    private(set) var failures = 0
    /// The hotplug events that were read, by subsystem; those that the kernel dropped are not in it.
    private(set) var cpuEvents = 0
    private(set) var memoryEvents = 0
    /// How long a crash would have left no dump because of loads of ours, in microseconds.
    private(set) var unprotected: UInt64 = 0
    /// When the load began that is under way, by CLOCK_MONOTONIC in microseconds; `nil` if none is.
    private(set) var loadBegan: UInt64?
    /// Since when nothing is loaded because a load of ours failed, by the same clock; `nil` if that
    /// is not so.
    private(set) var lostSince: UInt64?

    /// Counts a hotplug event.
    mutating func count(_ notice: Uevents.Notice) {
        switch notice {
        case .changed(.cpu, _, _): cpuEvents += 1
        case .changed(.memory, _, _): memoryEvents += 1
        case .lost: break
        }
    }

    /// Notes that a load begins: if it fails or the daemon is killed in it, the time without
    /// protection begins now.
    mutating func beginLoad(at now: UInt64) { loadBegan = now }

    /// Counts what a reconciliation did that ended at the time `now`.
    ///
    /// Where nothing was loaded before, all the time until now counts, and with it the load.
    mutating func count(_ outcome: Engine.Reconciliation, at now: UInt64) {
        for refresh in outcome.refreshes {
            switch refresh.method {
            case .patch: patches += 1
            case .replay: replays += 1
            case .reload: reloads += 1
            }
        }
        if outcome.hasFailed { failures += 1 }
        let windows = outcome.refreshes.map(\.window).reduce(0, +)
        let isLost = outcome.look.verdict == .lost
        if let since = lostSince, !isLost {
            unprotected += max(now > since ? now - since : 0, windows)
            lostSince = nil
        } else {
            unprotected += windows
        }
        if isLost && lostSince == nil { lostSince = loadBegan ?? now }
        loadBegan = nil
    }

    /// The tally at a time: a machine that is without protection right now is so until then.
    func settled(at now: UInt64) -> Tally {
        var tally = self
        if let since = lostSince, now > since {
            tally.unprotected += now - since
            tally.lostSince = now
        }
        return tally
    }
}

extension Engine.Reconciliation {
    /// Whether a refresh was attempted and has not left the right image.
    var hasFailed: Bool {
        switch end {
        case .refused, .unprotected, .restored: true
        case .uncured: !refreshes.isEmpty
        case .settled, .blocked, .busy, .held, .stillMoving, .changing, .postponed, .resting: false
        }
    }
}
