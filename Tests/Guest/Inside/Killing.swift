// SPDX-License-Identifier: Apache-2.0

/// Killing the daemon at a chosen moment, and keeping it dead until a test has looked around.
///
/// The kernel's own trace tells afterwards where the kill fell: before, within or after a load. How a
/// kill falls within the milliseconds of a system call is in image/spoil.c.
extension Machine {
    /// When to kill.
    package enum KillAim: Sendable, CustomStringConvertible {
        /// So long after the next hotplug event.
        case event(Duration)
        /// So long after the daemon has begun the system call that loads.
        case call(Duration)

        package var description: String {
            switch self {
            case .event(let time): "\(Int(time.inSeconds * 1000)) ms after the event"
            case .call(let time): "\(Int(time.inSeconds * 1_000_000)) µs into the call"
            }
        }
    }

    /// Where a kill fell.
    package enum KillMoment: String, Sendable {
        case beforeLoad = "before a load"
        case withinLoad = "within a load"
        case afterLoad = "after a load"
    }

    /// Makes the daemon ready to be killed; to be called before it is started.
    ///
    /// systemd starts it again as it always does, but not before the test lets it.
    package func prepareKills() throws(GuestError) {
        try preloadSpoiler("")
        try expect(
            """
            cat >/run/systemd/system/kdump-hotplugd.service.d/hold.conf <<'END'
            [Service]
            ExecStartPre=+/bin/sh -c 'while [ -e /run/hold ]; do sleep 0.05; done'
            ExecStartPre=+/bin/rm -f /run/kdump-hotplugd/crashes.json
            END
            systemctl daemon-reload
            cat >/run/killer <<'END'
            read -r old </sys/kernel/uevent_seqnum; new=$old
            : >/run/armed
            while [ "$new" = "$old" ]; do
                read -rt 0.002 _ <>/run/never
                read -r new </sys/kernel/uevent_seqnum
            done
            [ "$2" = 0 ] || read -rt "$2" _ <>/run/never
            kill -KILL "$1"
            END
            mkfifo /run/never
            """)
        try traceLoads()
        try expect(
            """
            cd /sys/kernel/tracing/events/signal/signal_generate
            echo sig==9 >filter && echo 1 >enable
            """)
    }

    /// Takes aim, and returns the process aimed at; what happens next in the guest must make it load
    /// something.
    package func armKill(_ aim: KillAim) throws(GuestError) -> Int {
        let action =
            switch aim {
            case .event(let time):
                """
                rm -f /run/armed; setsid -f bash /run/killer $pid \(time.inSeconds) >/dev/null 2>&1
                until [ -e /run/armed ]; do sleep 0.02; done
                """
            case .call(let time): "echo \(Int(time.inSeconds * 1_000_000)) >/run/kill-in"
            }
        let pid = try expect(
            """
            pid=$(systemctl show -P MainPID kdump-hotplugd); [ $pid != 0 ] || exit
            touch /run/hold; echo >/sys/kernel/tracing/trace; \(action); echo $pid
            """)
        guard let number = Int(pid) else { throw .garbled("pid: \(pid)") }
        return number
    }

    /// Waits until the daemon is dead, and says where it was.
    package func awaitKill(of pid: Int) throws(GuestError) -> KillMoment {
        do {
            try expect("until [ ! -e /proc/\(pid) ]; do sleep 0.05; done")
        } catch {
            throw .timedOut("the daemon is not killed: \(error)\n\(try daemonJournal())")
        }
        let trace = try expect(
            """
            rm -f /run/kill-in; grep -v '^#' /sys/kernel/tracing/trace
            """)
        var moment = KillMoment.beforeLoad
        for line in trace.split(separator: "\n") {
            if line.contains("sig=9 "), line.contains(" pid=\(pid) ") { return moment }
            guard line.contains("-\(pid) "), line.contains("sys_kexec") else { continue }
            moment = line.contains("->") ? .afterLoad : .withinLoad
        }
        throw .garbled("no kill in the trace: \(trace)")
    }

    /// Lets the daemon live again, and returns when it has said that it is ready.
    package func endHold() throws(GuestError) {
        try expect("rm /run/hold; until systemctl is-active -q kdump-hotplugd; do sleep 0.1; done")
    }
}
