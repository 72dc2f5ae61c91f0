// SPDX-License-Identifier: Apache-2.0

internal import CSystemd
internal import Engine
internal import Glibc

/// Tells systemd the state of the daemon, and one sentence for `systemctl status`.
///
/// Without a service manager, as in a terminal, the calls do nothing. ``EventLoop`` feeds the
/// watchdog; ``alive(at:)`` does so during a step of the loop that takes long.
struct ServiceManager {
    /// The time of the watchdog in microseconds; 0 where it is off.
    private let watchdog: UInt64
    /// When it was last said in the middle of a step that the daemon is alive, in microseconds.
    private var lastAlive: UInt64?

    /// Asks systemd's environment for the watchdog.
    ///
    /// The corresponding C function is `sd_watchdog_enabled`.
    init() {
        var time: UInt64 = 0
        watchdog = unsafe sd_watchdog_enabled(0, &time) > 0 ? time : 0
    }

    /// Takes the time of the watchdog in microseconds; 0 where it is off.
    init(watchdog: UInt64) { self.watchdog = watchdog }

    /// How long a load may take before the daemon counts as hung, in microseconds.
    ///
    /// A load that is killed leaves nothing loaded, and the slowest takes a minute: ten.
    private static let longestLoad: UInt64 = 600_000_000

    /// Says that the daemon is ready: after its first look, and after each reload of its settings.
    func ready(status: String) {
        notify(["READY=1", ServiceManager.assignment(ofStatus: status)])
    }

    /// Sets the status line.
    func status(_ status: String) {
        notify([ServiceManager.assignment(ofStatus: status)])
    }

    /// Says that the configuration is being read again; ``ready(status:)`` ends that.
    ///
    /// `now` is the time of CLOCK_MONOTONIC in microseconds, by which systemd distinguishes this
    /// reload from an earlier one.
    func reloading(now: UInt64) {
        notify(["RELOADING=1", "MONOTONIC_USEC=\(now)"])
    }

    /// Says that the daemon is alive, in the middle of a step that takes long; at most once in an eighth of
    /// the watchdog's time.
    ///
    /// Each MiB of a file that is read, and of a digest, calls this, and each message wakes systemd. `now`
    /// is in microseconds of any monotonic clock.
    mutating func alive(at now: UInt64) {
        guard watchdog > 0, lastAlive.map({ now >= $0 + watchdog / 8 }) ?? true else { return }
        lastAlive = now
        notify(["WATCHDOG=1"])
    }

    /// Says that a load begins, in which the daemon must not be killed for its silence.
    ///
    /// Whichever time counts is longer until ``endLoad()``: the watchdog's, or the one for the start or
    /// the stop of the service (sd_notify(3)).
    func beginLoad() {
        let time = ServiceManager.longestLoad
        let more = "EXTEND_TIMEOUT_USEC=\(time)"
        notify(watchdog > 0 ? ["WATCHDOG=1", "WATCHDOG_USEC=\(time)", more] : [more])
    }

    /// Says that the load has ended.
    func endLoad() {
        if watchdog > 0 { notify(["WATCHDOG_USEC=\(watchdog)", "WATCHDOG=1"]) }
    }

    /// Says that the daemon is about to stop because it was told to.
    func stopping(status: String) {
        notify(["STOPPING=1", ServiceManager.assignment(ofStatus: status)])
    }

    /// Makes the assignment that sets the status line.
    ///
    /// A line break would start another assignment, so every ASCII control character becomes a
    /// space: a file name in a sentence must not be able to say `READY=1`. Everybody can read the
    /// line, so addresses are taken out.
    static func assignment(ofStatus status: String) -> String {
        "STATUS=" + Sentences.onOneLine(Sentences.withoutAddresses(status))
    }

    /// Sends assignments as one message.
    ///
    /// A failure is not reported: systemd itself acts when it does not hear from the daemon.
    ///
    /// The corresponding C function is `sd_notify`.
    private func notify(_ assignments: [String]) {
        _ = unsafe sd_notify(0, assignments.joined(separator: "\n"))
    }

    /// Has systemd restart a unit, and returns when it has taken the order.
    ///
    /// - Throws: A `SystemError` where systemd cannot be reached or refuses, as for an unknown unit.
    func restart(_ unit: String) throws(SystemError) {
        _ = try SystemdConnection().give(.restart, to: unit)
    }

    /// Has systemd start a unit that does one thing, and returns when that is done.
    ///
    /// - Throws: A `SystemError` where systemd cannot be reached or refuses, or where the unit fails.
    func run(_ unit: String) throws(SystemError) {
        let systemd = try SystemdConnection()
        let job = try systemd.give(.start, to: unit)
        // A job that has ended is not known any longer; this is often enough for what takes a second.
        while systemd.isPending(job) { usleep(10_000) }
        guard try !systemd.hasFailed(unit) else {
            throw SystemError("\(unit) failed, and its journal says why", errno: 0)
        }
    }
}
