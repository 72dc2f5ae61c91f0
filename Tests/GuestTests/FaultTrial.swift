// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// A guest in which one fault after the other is tried, each at the hotplug of a DIMM of its own.
///
/// It compares what the probe says with what reserved memory holds, until all is right. It does not choose
/// the faults.
struct FaultTrial {
    /// What came of one fault.
    struct Outcome: CustomStringConvertible {
        /// Whether the daemon has met it.
        let isMet: Bool
        /// How long after the hotplug the image was right, in seconds of this machine's clock.
        let seconds: Double
        /// What the probe said last before that, if it was asked too early.
        let before: String?
        /// What the probe said of an image that it called right for longer than a second and that was wrong,
        /// or that was wrong in the end.
        let flaw: String?

        var description: String {
            let rounded = (seconds * 10).rounded() / 10
            return "right after \(rounded) s\(before.map { "; before: \($0)" } ?? "")"
        }
    }

    private let guest: Machine
    /// The faults of a hotplug, of which the guest has made a recording.
    let plan: FaultPlan
    /// The place of the DIMM of that recording.
    private let first: Range<UInt64>
    /// How many DIMMs are plugged in, each at twice its number of places after the first: with a gap between
    /// them each has an entry of its own in the core header.
    private var dimms = 0

    /// How many DIMMs there may be: a guest has eight slots, and its last test needs one.
    private static let room = 7

    /// Records what the daemon calls to follow a hotplug.
    init(on guest: Machine) throws {
        self.guest = guest
        try guest.traceDaemon("")
        first = try guest.hotAdd(megabytes: 128, id: "recorded")
        try guest.waitUntilOK()
        _ = try guest.endTrace()
        plan = FaultPlan(recording: try guest.expect("cat /run/strace"))
        try guest.hotRemove("recorded")
        try guest.waitUntilOK()
    }

    /// Plugs a DIMM, with the fault, and waits until all is right again.
    mutating func outcome(of fault: Fault) throws -> Outcome {
        try guest.waitForDaemon()
        if dimms == Self.room { try plugOut(dimms) }
        let start = first.lowerBound + UInt64(2 * dimms * first.count)
        // A daemon that was killed often would leave the image alone; that is tested elsewhere.
        try guest.expect("rm -f /run/spoilt /run/kdump-hotplugd/crashes.json")
        try guest.traceDaemon(fault.moved(from: first.lowerBound, to: start).options)
        let begin = ContinuousClock.now
        if let directory = fault.spoils { try guest.spoil(directory) }
        try guest.hotAdd(megabytes: 128, id: "dimm-\(dimms)", at: start)
        dimms += 1
        let memory = try guest.memoryToDump()
        let (before, wrong) = try wait(for: memory, with: fault, since: begin)
        let seconds = begin.duration(to: .now).inSeconds
        // The recorded calls end when the daemon has told; the fault may be one of the last. Once it has
        // been met, the daemon goes on without strace, which makes computing a digest slow.
        let isMetEarly = try fault.spoils == nil && guest.hasMetFault()
        if isMetEarly { _ = try guest.endTrace() }
        if fault.spoils == nil { try guest.waitUntilOK() } else { try guest.waitUntilSpoilt() }
        let last = try Sight(of: guest, memory)
        let isMet = try guest.endTrace()
        try recover(from: fault)
        return Outcome(
            isMet: isMet, seconds: seconds, before: before,
            flaw: last.isRight ? wrong : last.summary)
    }

    /// Undoes what a fault leaves behind, so that the next one finds the guest as this one did.
    private mutating func recover(from fault: Fault) throws {
        if fault.spoils != nil {
            // In a directory that is as it was, the daemon must be able to follow again.
            try guest.makeDirectoryUsable()
            try plugOut(1)
        }
        if fault.call.hasPrefix("kexec_") {
            // A kernel that refuses a system call is not asked again before the next boot.
            try guest.expect(
                """
                systemctl stop kdump-hotplugd; rm /run/kdump-hotplugd/saved-state.json
                systemctl start kdump-hotplugd
                """)
            try guest.waitUntilOK()
        }
    }

    /// Plugs out so many DIMMs, the last ones first.
    private mutating func plugOut(_ count: Int) throws {
        for _ in 0..<count {
            dimms -= 1
            try guest.hotRemove("dimm-\(dimms)")
        }
        try guest.waitUntilOK()
    }

    /// Waits until the image has this memory and the probe says so; returns what the probe said last before
    /// that, and what it called right for longer than a second and was wrong.
    private func wait(
        for memory: [Range<UInt64>], with fault: Fault, since begin: ContinuousClock.Instant
    ) throws -> (before: String?, wrong: String?) {
        var before: String?
        var wrong: String?
        while true {
            let sight = try Sight(of: guest, memory)
            if sight.isCalledRight {
                if sight.isRight { return (before, wrong) }
                // Between the two looks a load may have begun, and it must be known in a second.
                try guest.expect("sleep 1")
                let later = try Sight(of: guest, memory)
                if later.isCalledRight, !later.isRight { wrong = later.summary }
            }
            before = sight.summary
            guard .now < begin + Machine.patience else {
                throw GuestError.timedOut(
                    """
                    \(fault): \(sight.summary)
                    called right and was not: \(wrong ?? "nothing")
                    \(try guest.daemonJournal())
                    """)
            }
            // Asking without a pause would take the processor from the other guests.
            try guest.expect("sleep 0.3")
        }
    }

    /// What the probe says of the image, and what there is, at nearly the same moment.
    private struct Sight {
        let summary: String
        let isCalledRight: Bool
        let isRight: Bool

        init(of guest: Machine, _ memory: [Range<UInt64>]) throws {
            let seen = try guest.expect(
                """
                report=$(kdump-hotplugd --check --quick --json)
                echo "$(</sys/kernel/kexec_crash_loaded)$report"
                """)
            let report = try JSONDecoder().decode(
                CheckReport.self, from: Data(seen.dropFirst().utf8))
            summary = report.summary
            isCalledRight = report.verdict == "OK"
            // A reload may have put the header elsewhere; where none is now, nothing is right.
            let place = report.coreHeader?.place.addresses ?? 0..<0
            isRight = seen.first == "1" && (try? guest.memoryInCoreHeader(in: place)) == memory
        }
    }
}

extension Machine {
    /// Waits until the daemon is there and has looked at the machine: the last fault may have ended it, by a
    /// signal or an error, even at its last call.
    fileprivate func waitForDaemon() throws(GuestError) {
        try waitUntil("{ \(Self.mainProcess) && systemctl -q is-active kdump-hotplugd; }")
        let isSame = try run("\(Self.mainProcess); [ \"$pid\" = \"$(</run/traced)\" ]").status == 0
        if !isSame { try waitUntilOK() }
    }

    /// Has strace(1) watch the daemon.
    func traceDaemon(_ options: String) throws(GuestError) {
        try expect(
            """
            \(Self.mainProcess) || exit 1
            echo $pid >/run/traced
            # What an earlier one said must not be taken for this one's.
            >/run/strace.log
            strace -f -y -o /run/strace \(options) -p $pid >/run/strace.log 2>&1 </dev/null &
            echo $! >/run/tracer
            until [[ $(</run/strace.log) == *attached* ]]; do
                [ -d "/proc/$!" ] || { cat /run/strace.log; exit 1; }
                sleep 0.05
            done
            """)
    }

    /// Whether the daemon has met the fault that it is traced for.
    fileprivate func hasMetFault() throws(GuestError) -> Bool {
        try run(
            """
            calls=$(</run/strace)
            [[ $calls == *INJECTED* || $calls == *"killed by SIGKILL"* || -e /run/spoilt ]]
            """
        ).status == 0
    }

    /// Ends strace, which lets go of the daemon first, and says whether the daemon has met its fault.
    func endTrace() throws(GuestError) -> Bool {
        // A daemon that was killed in its last steps need not be there again.
        try expect(
            """
            tracer=$(</run/tracer)
            kill "$tracer"; while [ -d "/proc/$tracer" ]; do sleep 0.05; done
            if \(Self.mainProcess); then kill -CONT "$pid" || ! [ -d "/proc/$pid" ]; fi
            """)
        return try hasMetFault()
    }

    /// A command that sets `pid` to the daemon's process, and fails if there is none.
    ///
    /// It starts no program, as little else here does: under emulation each takes 40 ms.
    private static let mainProcess =
        "read -r pid </sys/fs/cgroup/system.slice/kdump-hotplugd.service/cgroup.procs"
}
