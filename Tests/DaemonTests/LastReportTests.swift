// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What ordinary users are told, by the age of the daemon's last report.
    @Suite struct LastReportTests {
        private func told(
            _ age: Int, lifetime: Int? = 600, pid: Int32? = 7, isSaved: Bool = true
        ) -> Report {
            let daemon = Report.Daemon(running: true, pid: 7, lastRefresh: nil)
            let look = Combinations.look(.current)
            let ways = Engine.Ways(patch: nil, reload: nil)
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            let report = Report(of: look, assessment, ways: ways, daemon: daemon)
            let state = State(time: 10_000, lifetime: lifetime, report: report)
            return LastReport(isSaved ? state : nil, now: 10_000 + age, pid: pid).report
        }

        @Test(arguments: [(0, true), (600, true), (601, false), (-600, true), (-601, false)])
        func anOldReportIsNoAnswer(age: Int, holds: Bool) {
            #expect(told(age).verdict == (holds ? .ok : .unknown))
            #expect(told(age, lifetime: nil).verdict == (holds ? .ok : .unknown))
        }

        @Test func theReasonIsTold() {
            #expect(told(660).summary.contains("kdump-hotplugd is 11 min old, too old"))
            #expect(
                told(5, pid: nil).summary.contains("last checked it 5 s ago and is not running"))
            #expect(told(0, isSaved: false).summary.contains("has not saved its last result"))
            #expect(told(0, pid: nil, isSaved: false).summary.contains("has left no report"))
        }

        @Test(arguments: [(300, 600), (60, 120), (86_400, 172_800), (0, 600)] as [(UInt64, Int)])
        func aReportHoldsForTwoScrubs(scrub: UInt64, lifetime: Int) {
            #expect(LastReport.lifetime(scrub: scrub) == lifetime)
        }

        @Test func whatCannotBeWrittenRemovesWhatWas() throws {
            let machine = try FakeMachine()
            try machine.write("run/kdump-hotplugd/state.json", "old")
            let state = StateDirectory(below: machine.systemRoot)
            try state.write([1], as: "state.json", mode: 0o644)
            #expect(state.read("state.json") == [1])
            // A directory in the way of the draft stands for a full file system.
            try machine.write("run/kdump-hotplugd/.state.json.new/x")
            #expect(throws: SystemError.self) {
                try state.write([2], as: "state.json", mode: 0o644)
            }
            #expect(state.read("state.json") == nil)
        }
    }
}
