// SPDX-License-Identifier: Apache-2.0

internal import CSystemd

/// What systemd is told about the daemon: its state, and one sentence for `systemctl status`.
///
/// Without a service manager, as in a terminal, every call does nothing. The watchdog is fed by
/// ``EventLoop``, and by ``alive()`` where one step of the loop may take long.
struct ServiceManager {
    /// Says that the daemon does its work: after the first audit, and after each reload.
    func ready(status: String) {
        notify(["READY=1", ServiceManager.assignment(ofStatus: status)])
    }

    /// Says in one sentence how things stand.
    func status(_ status: String) {
        notify([ServiceManager.assignment(ofStatus: status)])
    }

    /// Says that the configuration is being read again; ``ready(status:)`` says when it has been.
    ///
    /// `now` is the time of CLOCK_MONOTONIC in microseconds, by which systemd tells this reload
    /// from the one before.
    func reloading(now: UInt64) {
        notify(["RELOADING=1", "MONOTONIC_USEC=\(now)"])
    }

    /// Says that the daemon lives, in the middle of what takes long.
    func alive() { notify(["WATCHDOG=1"]) }

    /// Says that the daemon is about to end because it was asked to.
    func stopping(status: String) {
        notify(["STOPPING=1", ServiceManager.assignment(ofStatus: status)])
    }

    /// Makes the assignment that sets the status line.
    ///
    /// A line break would begin another assignment, so it and every other ASCII control
    /// character becomes a space: a file name in a sentence must not be able to say `READY=1`.
    static func assignment(ofStatus status: String) -> String {
        let harmless = status.unicodeScalars.map { scalar in
            scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
        }
        return "STATUS=" + String(String.UnicodeScalarView(harmless))
    }

    /// Sends assignments as one message.
    ///
    /// A failure is not reported: there is nobody else to tell, and systemd itself acts on a
    /// daemon it does not hear from.
    ///
    /// The corresponding C function is `sd_notify`.
    private func notify(_ assignments: [String]) {
        _ = unsafe sd_notify(0, assignments.joined(separator: "\n"))
    }
}
