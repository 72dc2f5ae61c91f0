// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What is worth an entry in the history, how many are kept, and how they are printed.
    @Suite struct HistoryTests {
        private let error = SystemError("kexec_file_load", errno: 22)

        private func entry(
            _ end: Engine.End = .settled, found: Verdict = .current, then: Verdict = .current,
            _ refreshes: [Engine.Refresh] = [], on trigger: Trigger = .hotplug,
            after before: Severity? = .ok, at time: Int = 100, anticipating: Coverage? = nil
        ) -> History.Entry? {
            let look = Combinations.look(then)
            let ways = Engine.Ways(patch: nil, reload: nil)
            let outcome = Engine.Reconciliation(
                look: look, firstVerdict: found, anticipated: anticipating, refreshes: refreshes,
                unpatched: nil, end: end)
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            return History.Entry(
                of: outcome, Announcement(of: outcome, assessment), on: trigger, after: before,
                at: time)
        }

        private let patch = Engine.Refresh(method: .patch, window: 879)
        private let reload = Engine.Refresh(method: .reload, window: 812_345)

        @Test func aRefreshIsRemembered() throws {
            let made = try #require(entry(found: .stale(Combinations.lossy), [patch, reload]))
            #expect(made.cause == .hotplug && made.found == "stale" && made.verdict == .ok)
            #expect(made.missing == History.Difference(bytes: 512 << 20, cpus: [1]))
            #expect(made.phantom == nil && made.failure == nil)
            #expect(made.methods == [.patch, .reload] && made.window == 813_224)
        }

        /// A patch before the memory is online, or before it has left, finds nothing missing and nothing gone.
        @Test func whatWasAboutToComeOrLeaveIsSaid() throws {
            func line(_ coverage: Coverage) throws -> String {
                let made = try #require(entry(.settled, [patch], anticipating: coverage))
                return HistoryText.lines(of: History().adding(made)) { "T\($0)" }[1]
            }
            let leaving = Coverage(live: Combinations.half, described: Combinations.machine)
            #expect(
                try line(Combinations.lossy)
                    == "T100  hotplug  512 MiB and CPU 1 coming  patch  879 µs       OK")
            #expect(try line(leaving).contains("  512 MiB and CPU 1 leaving  patch  "))
        }

        @Test func nothingNewIsNoEntry() {
            #expect(entry() == nil)
            #expect(entry(on: .routine) == nil)
            // What is still wrong has been said.
            #expect(
                entry(.blocked(.noSource), then: .broken(because: "x"), after: .critical) == nil)
        }

        @Test func aVerdictThatChangesAndAStartAreRemembered() {
            let worse = entry(then: .stale(Combinations.lossy), on: .routine)
            #expect(worse?.verdict == .critical && worse?.cause == .routine)
            #expect(worse?.methods == [] && worse?.window == nil)
            #expect(entry(after: nil)?.cause == .start)
            let unread = Assessment(unreadable: error)
            #expect(History.Entry(unreadable: unread, after: .ok, at: 1)?.verdict == .unknown)
            #expect(History.Entry(unreadable: unread, after: .unknown, at: 1) == nil)
            #expect(History.Entry.stop(at: 7).cause == .stop)
        }

        @Test func addressesAreLeftOut() throws {
            let address = "no image at 0xffffffffb46a1b20"
            let made = try #require(
                entry(.restored(address), then: .unverified(because: address), [patch]))
            #expect(made.failure?.contains("(address)") == true)
            #expect(!"\(made)".contains("0xffff"))
        }

        @Test func theOldestGiveWay() throws {
            var history = History()
            for time in 0..<300 {
                history = history.adding(try #require(entry(.settled, [patch], at: time)))
            }
            #expect(history.entries.map(\.time) == Array(172..<300))
        }

        @Test func aFailureThatRepeatsOnlyCounts() throws {
            var history = History().adding(try #require(entry(.settled, [patch], at: 1)))
            for time in 2..<500 {
                history = history.adding(
                    try #require(
                        entry(.refused(error), then: .stale(Combinations.lossy), at: time)))
            }
            #expect(history.entries.count == 2)
            #expect(history.entries[1].times == 498 && history.entries[1].until == 499)
            #expect(history.entries[1].time == 2)
        }

        private func sample() throws -> History {
            History()
                .adding(try #require(entry(after: nil, at: 0)))
                .adding(
                    try #require(entry(found: .stale(Combinations.lossy), [patch], at: 60))
                )
                .adding(
                    try #require(
                        entry(.refused(error), then: .stale(Combinations.lossy), at: 120))
                )
                .adding(
                    try #require(
                        entry(.refused(error), then: .stale(Combinations.lossy), at: 180))
                )
                .adding(
                    try #require(
                        entry(
                            found: .stale(
                                Coverage(live: Combinations.half, described: Combinations.machine)),
                            [reload], on: .request, at: 200))
                )
                .adding(.stop(at: 240))
        }

        @Test func peopleGetATable() throws {
            let lines = HistoryText.lines(of: try sample()) { "T\($0)" }
            #expect(
                lines.prefix(3) == [
                    "TIME  WHY      FOUND                      DONE    UNPROTECTED  THEN",
                    "T0    start    current                    -       -            OK",
                    "T60   hotplug  512 MiB and CPU 1 missing  patch   879 µs       OK",
                ])
            #expect(lines[3].hasPrefix("T120  hotplug  current "))
            #expect(lines[3].hasSuffix("failed  -            CRITICAL"))
            #expect(lines[4].hasSuffix(", 2 times, last at T180"))
            #expect(lines[5].hasPrefix("    a crash now loses") || lines[5].hasPrefix("    "))
            #expect(lines[6] == "T200  request  512 MiB and CPU 1 gone     reload  812 ms       OK")
            #expect(
                lines[7] == "T240  stop     -                          -       -            UNKNOWN"
            )
            #expect(HistoryText.lines(of: History()).count == 1)
            #expect(HistoryText.localTime(0).hasPrefix("19"))
        }

        @Test func itsJSONKeepsToTheSchema() throws {
            let text = String(decoding: ReportJSON.bytes(of: try sample()), as: UTF8.self)
            let validator = repository(".ci/validate-json")
            let arguments = [repository("fleet/history.schema.json"), "--all-keys"]
            #expect(try Tool.run(validator, arguments, on: text).said == "")
            let other = text.replacing(#""cause":"stop""#, with: #""cause":"end""#)
            #expect(try Tool.run(validator, arguments, on: other).status == 1)
            #expect(ReportJSON.value(History.self, from: Array(text.utf8)) == (try sample()))
        }

        @Test func whatStaysTrueIsNotRemovedForWantOfRoom() throws {
            let machine = try FakeMachine()
            let state = StateDirectory(below: machine.systemRoot)
            try machine.write("run/kdump-hotplugd/history.json", "old")
            // A directory in the way of the draft stands for a full file system.
            try machine.write("run/kdump-hotplugd/.history.json.new/x")
            #expect(throws: SystemError.self) {
                try state.write([2], as: History.file, mode: 0o644, stayTrue: true)
            }
            #expect(state.read(History.file) == Array("old".utf8))
        }

        @Test func aHistoryThatIsNoneIsSaidToBe() throws {
            let machine = try FakeMachine()
            let root = machine.systemRoot
            let program = Tool.daemon
            func print(_ options: String...) throws -> (status: Int32, said: String) {
                try Tool.run(program, ["--history", "--root", root.prefix] + options)
            }
            #expect(try print().said.hasPrefix("kdump-hotplugd has recorded nothing"))
            #expect(try print("--json").said.contains(#""entries" : ["#))
            // Half of a file, as a full disk would leave it; the daemon never does.
            try machine.write("run/kdump-hotplugd/history.json", #"{"version":1,"entr"#)
            let broken = try print()
            #expect(broken.status == 1 && broken.said.contains("cannot be understood"))
        }
    }
}
