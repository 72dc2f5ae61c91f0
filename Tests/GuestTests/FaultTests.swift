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
        /// What came of the parts that were tried before.
        private static let table = ResultTable(variable: "KDUMP_HOTPLUGD_FAULTS_TABLE")
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
            let number: Int

            /// So many that a run that is interrupted loses little: only the parts under way.
            static let count = isFull ? 12 : 1
            static let all = Refresh.allCases
                .flatMap { refresh in
                    (0..<count).map { Part(refresh: refresh, number: $0) }
                }
                .filter { part in !table.lines.contains { $0.hasPrefix(part.key) } }

            /// What a line of the table of this part begins with.
            var key: String { "\(refresh.rawValue),\(number + 1)," }
            var testDescription: String { "\(refresh.rawValue), \(number + 1) of \(Self.count)" }

            /// Each guest records its own calls, a few more or less of them; what a fault is called, but
            /// for that number, is the same in all.
            func has(_ fault: Fault) -> Bool {
                fault.name.utf8.reduce(0) { ($0 * 31 + Int($1)) % 65_537 } % Self.count == number
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
            var trial = try FaultTrial(on: guest)
            let plan = trial.plan
            try #require(plan.unknown.isEmpty, "nobody has said how these can fail")
            let chosen =
                Self.chosen(plan.faults.filter(part.has), refresh.sample)
                + Self.chosen(plan.spoilings.filter(part.has), 1)
            try #require(Self.wanted != nil || !chosen.isEmpty)
            print(
                "[fault] \(part.testDescription): \(chosen.count) of",
                "\(plan.faults.count + plan.spoilings.count) faults")
            var results: [(kind: String, outcome: FaultTrial.Outcome)] = []
            for fault in chosen {
                let result = try trial.outcome(of: fault)
                #expect(result.flaw == nil, "\(fault)")
                results.append((fault.kind, result))
                print("[fault] \(fault): \(result.isMet ? "\(result)" : "not met")")
            }
            let unmet = results.count { !$0.outcome.isMet }
            // The last calls of the recording need not be made each time: how often the daemon looks
            // depends on how long the kernel takes.
            try #require(
                unmet * 4 <= chosen.count, "\(unmet) of \(chosen.count) faults not met")
            let dimm = try guest.hotAdd(megabytes: 128, id: "last")
            try guest.waitUntilOK()
            let memory = try guest.memoryToDump()
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            try #require(dump.memory.aboveLegacy == memory)
            try #require(dump.marks.intact == marks.pages)
            let isRight = results.allSatisfy { $0.outcome.flaw == nil }
            if isRight, Self.wanted == nil { try note(results, of: part) }
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
            try guest.traceDaemon("-P \(file) -e inject=openat:error=EIO:when=1")
            try guest.expect("systemctl reload kdump-hotplugd")
            try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q 'read: open \(file)'")
            #expect(try guest.endTrace())
            try guest.waitUntilOK()
        }

        /// Adds what came of them to the table for the documents.
        private func note(
            _ results: [(kind: String, outcome: FaultTrial.Outcome)], of part: Part
        ) throws {
            let kinds = Dictionary(grouping: results, by: \.kind)
            let lines = kinds.sorted { $0.key < $1.key }.map { kind, results in
                let met = results.filter(\.outcome.isMet)
                let slowest = met.map(\.outcome.seconds).max() ?? 0
                return "\(part.key)\(kind),\(results.count),\(met.count),\(slowest)"
            }
            // At once: a part of which there is a line counts as done.
            try Self.table.add(lines.joined(separator: "\n"))
        }
    }
}
