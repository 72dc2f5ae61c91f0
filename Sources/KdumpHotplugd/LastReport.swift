// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What `--check` says to users who may not read the machine: the daemon's last report, if it is
/// still valid; pure.
///
/// A report says what was true when it was made. An old one is no answer: the daemon may hang, or
/// may not have been able to save a newer one.
struct LastReport {
    /// The report, or one that says why there is none.
    let report: Report
    /// A line for people that says where it comes from.
    let note: [String]
    /// How old it is, in seconds; `nil` if there is none.
    let age: Int?
    /// How old it may be, in seconds.
    let lifetime: Int

    /// How long a report is valid if it does not say so itself, in seconds.
    static let usualLifetime = lifetime(scrub: 0)

    /// How long a report is valid, in seconds: two scrubs, because one may be late.
    ///
    /// If the daemon never scrubs, that is twice the usual time.
    static func lifetime(scrub: UInt64) -> Int {
        2 * Int(scrub > 0 ? scrub : Settings.usualScrub)
    }

    /// Uses the daemon's last state, if there is any, at the time `now` in seconds since 1970;
    /// `pid` is the process id of the running daemon.
    init(_ state: State?, now: Int, pid: Int32?) {
        age = state.map { max(0, now - $0.time) }
        lifetime = state?.lifetime ?? LastReport.usualLifetime
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
                "kdump-hotplugd last checked it \(Sentences.age(seconds: now - last.time)) ago and is"
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
    /// Whether it is recent enough.
    ///
    /// Setting the clock back must not make it last longer.
    fileprivate func holds(at now: Int) -> Bool {
        abs(now - time) <= lifetime ?? LastReport.usualLifetime
    }
}
