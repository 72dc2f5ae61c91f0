// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// The daemon is killed again and again, wherever it happens to be in a refresh.
    ///
    /// After each kill and before the next daemon, the probe must say what is true, and the truth is
    /// read from outside. The next daemon must make it right.
    @Suite(.tags(.long)) struct KillTests {
        private static let environment = ProcessInfo.processInfo.environment
        /// How often the daemon is killed at least in each test: less in an ordinary run than by `make soak`.
        private static let rounds = environment["KDUMP_HOTPLUGD_SOAK"] == nil ? 5 : 25
        private static let seed =
            environment["KDUMP_HOTPLUGD_KILL_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0..<1_000_000)

        /// What was found after a kill.
        private struct Finding {
            let moment: Machine.KillMoment
            let state: String
            /// The memory of the machine.
            let memory: [Range<UInt64>]
        }

        @Test(arguments: [true, false])
        func `on 6.1 a killed daemon leaves no wrong image that calls itself right`(
            patches: Bool
        ) throws {
            let guest = try guest(.v6_1, .loaded(.kernel)) { $0.sharesMemory = true }
            try guest.configureDaemon(patches: patches)
            try guest.prepareKills()
            try guest.startDaemon()
            try guest.waitUntilOK()
            let reserve = try #require(try guest.reservedMemory().first)
            var findings: [Finding] = []
            var dice = SeededGenerator(seed: Self.seed)
            print("[guest] kills with KDUMP_HOTPLUGD_KILL_SEED=\(Self.seed)")
            var aims: [Machine.KillAim] = []
            while isOwed(findings) {
                try #require(findings.count < 10 * Self.rounds, "no kill falls within a load")
                if aims.isEmpty { aims = self.aims(patches: patches, &dice) }
                let aim = aims.removeLast()
                let isAddition = findings.count.isMultiple(of: 2)
                let finding = try kill(guest, aim, isAddition: isAddition, reserve)
                let place = "\(aim), \(finding.moment.rawValue)"
                findings.append(finding)
                print("[guest] round \(findings.count): \(place): \(finding.state)")
                try guest.endHold()
                let report = try guest.report()
                #expect(report.verdict == "OK" && report.integrity == "verified", "\(place)")
                let header = try guest.memoryInCoreHeader(in: reserve)
                #expect(header == finding.memory, "\(place)")
            }
            tell(findings, patches: patches)
            let place = try #require(findings.last?.memory.last)
            let marks = try guest.mark(place, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.memory.aboveLegacy == findings.last?.memory)
            #expect(dump.marks.intact == marks.pages)
        }

        /// Whether another kill is needed: for the number, which must be odd to leave the DIMM plugged
        /// in for the marks, or because none has fallen yet where it hurts.
        private func isOwed(_ findings: [Finding]) -> Bool {
            let moments = Set(findings.map(\.moment))
            return findings.count < Self.rounds || findings.count.isMultiple(of: 2)
                || !moments.isSuperset(of: [.beforeLoad, .withinLoad])
        }

        /// Half of them after an event and half into the call, spread over the time that each may
        /// take and closer at its beginning, in a random order.
        private func aims(
            patches: Bool, _ dice: inout SeededGenerator
        ) -> [Machine.KillAim] {
            // The daemon acts 20 to 100 ms after an event; patches take milliseconds, reloads seconds.
            let times: (event: Double, call: Double) = patches ? (1, 0.015) : (3, 2)
            let half = (Self.rounds + 1) / 2
            let aims = (0..<Self.rounds).map { number -> Machine.KillAim in
                let place = (Double(number / 2) + .random(in: 0..<1, using: &dice)) / Double(half)
                // A reload reads its files at the beginning of the call; a daemon that is killed
                // there leaves nothing loaded.
                return number.isMultiple(of: 2)
                    ? .event(.seconds(times.event * place * place))
                    : .call(.seconds(times.call * place * place * place))
            }
            return aims.shuffled(using: &dice)
        }

        /// Changes the machine, kills the daemon, and looks what it has left.
        private func kill(
            _ guest: Machine, _ aim: Machine.KillAim, isAddition: Bool, _ reserve: Range<UInt64>
        ) throws -> Finding {
            let pid = try guest.armKill(aim)
            if isAddition {
                try guest.hotAdd(megabytes: 128, id: "dimm")
            } else {
                try guest.hotRemove("dimm")
            }
            let moment = try guest.awaitKill(of: pid)
            let report = try guest.report()
            let isLoaded = try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1"
            let memory = try guest.memoryToDump()
            let isRight = try isLoaded && guest.memoryInCoreHeader(in: reserve) == memory
            // That nobody follows the next hotplug comes behind it.
            let isCalledRight = report.summary.hasPrefix("the crash kernel covers ")
            #expect(isCalledRight == isRight, "\(report.summary)")
            #expect(!isLoaded || report.integrity == "verified", "\(report.summary)")
            let state = !isLoaded ? "unloaded" : isRight ? "right" : "stale"
            return Finding(moment: moment, state: state, memory: memory)
        }

        private func tell(_ findings: [Finding], patches: Bool) {
            let counts = Dictionary(grouping: findings) { "\($0.moment.rawValue): \($0.state)" }
            for (what, findings) in counts.sorted(by: { $0.key < $1.key }) {
                print("[guest] \(patches ? "patches" : "reloads"), \(what): \(findings.count)")
            }
        }
    }
}
