// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// One system call of the daemon fails, or is its last, while it follows a hotplug by a patch or a
    /// reload.
    ///
    /// strace(1) makes it fail, in a daemon that runs as its unit says. After each fault an image must
    /// be loaded, or the probe must say that none is; the probe must never call an image right that is
    /// not; and the daemon, or the one that systemd starts next, must make it right. What is loaded
    /// is read from outside.
    @Suite(.tags(.long)) struct FaultTests {
        private static let environment = ProcessInfo.processInfo.environment
        private static let isFull = environment["KDUMP_HOTPLUGD_FAULTS"] == "all"
        /// Part of the description of those that are wanted, to try one again.
        private static let wanted = environment["KDUMP_HOTPLUGD_FAULT"]

        /// How the daemon follows a hotplug.
        enum Refresh: String, CaseIterable {
            case patch = "a patch of an image of kexec -s"
            case patchForProgram = "a patch of an image of kexec -c"
            case reload = "a reload"

            /// How many faults an ordinary run tries, spread evenly; `make faults` tries all.
            ///
            /// Each takes some ten seconds.
            var sample: Int { self == .patch ? 6 : 3 }
        }

        /// Some of the faults of a refresh, in a guest of their own; an ordinary run has one part.
        struct Part: CustomTestStringConvertible {
            let refresh: Refresh
            let number: UInt

            /// Reloads take four times as long as patches: so many parts keep all guests busy to the end.
            static let count: UInt = isFull ? 6 : 1
            static let all = Refresh.allCases.flatMap { refresh in
                (0..<count).map { Part(refresh: refresh, number: $0) }
            }

            var testDescription: String { "\(refresh.rawValue), \(number + 1) of \(Self.count)" }

            /// Each guest records its own calls, a few more or less of them; what a fault is called, but
            /// for that number, is the same in all.
            func has(_ fault: Fault) -> Bool {
                fault.name.hashValue.magnitude % Self.count == number
            }
        }

        @Test(arguments: Part.all)
        func `one call that fails leaves an image that is right, or is said to be wrong`(
            part: Part
        ) throws {
            let refresh = part.refresh
            let guest = try guest(
                .v6_1, .loaded(refresh == .patchForProgram ? .program : .kernel)
            ) { $0.sharesMemory = true }
            try guest.separateStateDirectory()
            if refresh == .reload { try guest.configureDaemon(patches: false) }
            try guest.startDaemon()
            try guest.waitUntilOK()
            let plan = FaultPlan(recording: try guest.recordedCalls())
            #expect(plan.unknown.isEmpty, "nobody has said how these can fail")
            let chosen =
                Self.chosen(plan.faults.filter(part.has), refresh.sample)
                + Self.chosen(plan.spoilings.filter(part.has), 1)
            try #require(Self.wanted != nil || !chosen.isEmpty)
            print(
                "[fault] \(part.testDescription): \(chosen.count) of",
                "\(plan.faults.count + plan.spoilings.count) faults")
            var results: [(kind: String, outcome: Outcome)] = []
            for fault in chosen {
                let result = try outcome(of: fault, on: guest)
                results.append((fault.kind, result))
                print("[fault] \(fault): \(result.isMet ? "\(result)" : "not met")")
            }
            try note(results, of: refresh)
            let unmet = results.count { !$0.outcome.isMet }
            // The last calls of the recording need not be made each time: how often the daemon looks
            // depends on how long the kernel takes.
            #expect(unmet * 4 <= chosen.count, "\(unmet) of \(chosen.count) faults not met")
            let dimm = try guest.hotAdd(megabytes: 128, id: "last")
            try guest.waitUntilOK()
            let memory = try guest.memoryToDump()
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.memory.aboveLegacy == memory)
            #expect(dump.marks.intact == marks.pages)
        }

        /// Those that are tried, of these; an ordinary run tries so many, spread evenly over the first
        /// calls, which each refresh makes.
        private static func chosen(_ faults: [Fault], _ sample: Int) -> [Fault] {
            if let wanted { return faults.filter { $0.description.contains(wanted) } }
            if isFull { return faults }
            let firsts = faults.filter { $0.number == 1 }
            let stride = max(1, firsts.count / sample)
            return Swift.stride(from: stride / 2, to: firsts.count, by: stride).map { firsts[$0] }
        }

        /// The next look finds just what was told before that one, and must be told all the same: what
        /// would tell it otherwise, the next scrub, is off.
        @Test func `a look that failed is not the last word`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.expect("echo KDUMP_HOTPLUGD_SCRUB=0 >>/etc/default/kdump-hotplugd")
            try guest.startDaemon()
            try guest.waitUntilOK()
            let file = "/sys/kernel/kexec_crash_loaded"
            try guest.trace("-P \(file) -e inject=openat:error=EIO:when=1")
            try guest.expect("systemctl reload kdump-hotplugd")
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q 'read: open \(file)'")
            #expect(try guest.endFault())
            try guest.waitUntilOK()
        }

        /// What came of one fault.
        private struct Outcome: CustomStringConvertible {
            /// Whether the daemon has met it.
            let isMet: Bool
            /// How long after the hotplug the image was right, in seconds of this machine's clock.
            let seconds: Double
            /// What the probe said last before that, if it was asked too early.
            let before: String?

            var description: String {
                let rounded = (seconds * 10).rounded() / 10
                return "right after \(rounded) s\(before.map { "; before: \($0)" } ?? "")"
            }
        }

        /// Adds what came of them to the table for the documents.
        private func note(
            _ results: [(kind: String, outcome: Outcome)], of refresh: Refresh
        ) throws {
            let kinds = Dictionary(grouping: results, by: \.kind)
            for (kind, results) in kinds.sorted(by: { $0.key < $1.key }) {
                let met = results.filter(\.outcome.isMet)
                let slowest = met.map(\.outcome.seconds).max() ?? 0
                try ResultTable(variable: "KDUMP_HOTPLUGD_FAULTS_TABLE").add(
                    "\(refresh.rawValue),\(kind),\(results.count),\(met.count),\(slowest)")
            }
        }

        /// Plugs a DIMM, with the fault, and waits until all is right again; and plugs it out.
        private func outcome(of fault: Fault, on guest: Machine) throws -> Outcome {
            try guest.prepare(fault)
            let begin = ContinuousClock.now
            if let directory = fault.spoils { try guest.spoil(directory) }
            try guest.hotAdd(megabytes: 128, id: "dimm")
            let memory = try guest.memoryToDump()
            var wrong: String?
            while true {
                let sight = try Sight(of: guest, memory)
                if sight.isCalledRight {
                    if sight.isRight { break }
                    // Between the two looks a load may have begun, and it must be known in a second.
                    try guest.expect("sleep 1")
                    let later = try Sight(of: guest, memory)
                    #expect(later.isRight || !later.isCalledRight, "\(fault): \(later.summary)")
                }
                wrong = sight.summary
                guard .now < begin + Machine.patience else {
                    throw GuestError.timedOut(
                        "\(fault): \(wrong ?? "")\n\(try guest.daemonJournal())")
                }
            }
            let seconds = begin.duration(to: .now).inSeconds
            // The recorded calls end when the daemon has told; the fault may be one of the last.
            if fault.spoils == nil { try guest.waitUntilOK() } else { try guest.waitUntilSpoilt() }
            let last = try Sight(of: guest, memory)
            #expect(last.isRight, "\(fault): \(last.summary)")
            let isMet = try guest.endFault()
            try guest.hotRemove("dimm")
            try guest.waitUntilOK()
            return Outcome(isMet: isMet, seconds: seconds, before: wrong)
        }

        /// What the probe says of the image, and what there is, at nearly the same moment.
        private struct Sight {
            let summary: String
            let isCalledRight: Bool
            let isRight: Bool

            init(of guest: Machine, _ memory: [Range<UInt64>]) throws {
                let json = try guest.check("--quick --json").output
                let report = try JSONDecoder().decode(CheckReport.self, from: Data(json.utf8))
                summary = report.summary
                isCalledRight = report.verdict == "OK"
                // A reload may have put the header elsewhere; where none is now, nothing is right.
                let place = report.coreHeader?.place.addresses ?? 0..<0
                let isLoaded = try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1"
                isRight = isLoaded && (try? guest.memoryInCoreHeader(in: place)) == memory
            }
        }
    }
}

extension Machine {
    /// The system calls that the daemon makes to follow a DIMM, as strace shows them.
    fileprivate func recordedCalls() throws(GuestError) -> String {
        try trace("")
        try hotAdd(megabytes: 128, id: "recorded")
        try waitUntilOK()
        try expect("pkill -x strace; while pgrep -x strace >/dev/null; do sleep 0.05; done")
        let calls = try expect("cat /run/strace")
        try hotRemove("recorded")
        try waitUntilOK()
        return calls
    }

    /// Makes the daemon meet a fault at the next hotplug.
    fileprivate func prepare(_ fault: Fault) throws(GuestError) {
        // A daemon that was killed often would leave the image alone; that is tested elsewhere.
        try expect(
            """
            rm -f /run/spoilt /run/kdump-hotplugd/crashes.json
            systemctl reset-failed kdump-hotplugd || true
            """)
        try trace(fault.options)
    }

    /// Whether the daemon has met it; what it is made with is gone then.
    fileprivate func endFault() throws(GuestError) -> Bool {
        try expect(
            """
            pkill -x strace; while pgrep -x strace >/dev/null; do sleep 0.05; done
            pid=$(systemctl show -P MainPID kdump-hotplugd)
            # One that was killed in its last steps need not be there again.
            [ "$pid" = 0 ] || kill -CONT "$pid" || ! test -d "/proc/$pid"
            """)
        try makeDirectoryUsable()
        return try run(
            """
            grep -q INJECTED /run/strace || grep -q 'killed by SIGKILL' /run/strace || \
            test -e /run/spoilt
            """
        ).status == 0
    }

    /// Has strace watch the daemon.
    fileprivate func trace(_ options: String) throws(GuestError) {
        try expect(
            """
            pid=$(systemctl show -P MainPID kdump-hotplugd)
            setsid -f strace -f -y -o /run/strace \(options) -p $pid >/run/strace.log 2>&1 </dev/null
            until grep -q attached /run/strace.log; do sleep 0.05; done
            """)
    }
}
