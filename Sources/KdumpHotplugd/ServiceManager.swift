// SPDX-License-Identifier: Apache-2.0

internal import CSystemd

/// Tells systemd the state of the daemon, and one sentence for `systemctl status`.
///
/// Without a service manager, as in a terminal, the calls do nothing. ``EventLoop`` feeds the
/// watchdog; ``alive()`` does so during a step of the loop that takes long.
struct ServiceManager {
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

    /// Says that the daemon is alive, in the middle of a step that takes long.
    func alive() { notify(["WATCHDOG=1"]) }

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
        let harmless = Sentences.withoutAddresses(status).unicodeScalars.map { scalar in
            scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
        }
        return "STATUS=" + String(String.UnicodeScalarView(harmless))
    }

    /// Sends assignments as one message.
    ///
    /// A failure is not reported: systemd itself acts when it does not hear from the daemon.
    ///
    /// The corresponding C function is `sd_notify`.
    private func notify(_ assignments: [String]) {
        _ = unsafe sd_notify(0, assignments.joined(separator: "\n"))
    }
}
