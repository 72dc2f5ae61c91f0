// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What one who may not look at the machine is told: the daemon's last report, if it still holds; pure.
///
/// A report says what was true when it was made. One that is too old is no answer: the daemon may hang,
/// or may not have been able to save what it has seen since.
struct LastReport {
    /// The report, or that there is none that holds.
    let report: Report
    /// A line for people that names the source.
    let note: [String]

    /// How old a report may be that does not say so itself, in seconds.
    static let usualLifetime = lifetime(scrub: 0)

    /// How long a report holds, in seconds, where the daemon looks without an event every `scrub`
    /// seconds: two looks, one of which may be late; and where it never does, twice the usual time.
    static func lifetime(scrub: UInt64) -> Int {
        2 * Int(scrub > 0 ? scrub : Settings.usualScrub)
    }

    /// Takes what the daemon has left, if anything, at a time in seconds since 1970; `pid` is the
    /// process id of the running daemon.
    init(_ state: State?, now: Int, pid: Int32?) {
        let reason: String
        switch (state, pid) {
        case (nil, nil):
            reason =
                "kdump-hotplugd has left no report: run this as root, or start"
                + " kdump-hotplugd.service"
        case (nil, .some):
            reason =
                "kdump-hotplugd has not saved its last result: run this as root, or read its"
                + " journal"
        case (.some(let last), nil):
            reason =
                "kdump-hotplugd last did so \(Sentences.age(seconds: now - last.time)) ago and is"
                + " not running: run this as root, or start kdump-hotplugd.service"
        case (.some(let last), .some) where !last.holds(at: now):
            reason =
                "the last report of kdump-hotplugd is \(Sentences.age(seconds: now - last.time))"
                + " old, too old to be relied on: run this as root, or read its journal"
        case (.some(let last), .some):
            let age = Sentences.age(seconds: now - last.time)
            report = last.report
            note = ["checked by    the daemon, \(age) ago (run this as root to check now)"]
            return
        }
        let assessment = Assessment(
            unknownBecause: "only root can check the machine, and " + reason)
        let daemon = Report.Daemon(running: pid != nil, pid: pid, lastRefresh: nil)
        (report, note) = (Report(assessment, daemon: daemon), [])
    }
}

extension State {
    /// Whether it is recent enough to be told.
    ///
    /// A clock that has been set back must not make it last longer.
    fileprivate func holds(at now: Int) -> Bool {
        abs(now - time) <= lifetime ?? LastReport.usualLifetime
    }
}
