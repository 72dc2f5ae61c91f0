// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What the daemon counts, and that a restart loses none of it.
    @Suite struct TallyTests {
        private func outcome(
            _ end: Engine.End, _ verdict: Verdict = .current,
            _ refreshes: [(Engine.Refresh.Method, UInt64)] = []
        ) -> Engine.Reconciliation {
            Engine.Reconciliation(
                look: Combinations.look(verdict), firstVerdict: verdict,
                refreshes: refreshes.map { Engine.Refresh(method: $0, window: $1) },
                unpatched: nil, end: end)
        }

        private let error = SystemError("kexec_file_load", errno: 22)

        @Test func refreshesAreCountedByMethod() {
            var tally = Tally()
            tally.count(outcome(.settled, .current, [(.patch, 800), (.patch, 200)]), at: 1)
            tally.count(outcome(.restored("x"), .current, [(.replay, 7)]), at: 2)
            tally.count(outcome(.settled, .current, [(.reload, 3)]), at: 3)
            #expect(tally.patches == 2 && tally.replays == 1 && tally.reloads == 1)
            #expect(tally.unprotected == 1_010 && tally.failures == 1)
        }

        @Test func onlyAttemptsCanFail() {
            var tally = Tally()
            for end in [
                Engine.End.settled, .blocked(.noSource), .busy, .stillMoving, .uncured,
                .held(LoadLock.Holder(path: "/lock", pid: 7)),
            ] { tally.count(outcome(end), at: 0) }
            #expect(tally.failures == 0)
            tally.count(outcome(.refused(error)), at: 0)
            tally.count(outcome(.unprotected(error), .lost), at: 0)
            tally.count(outcome(.uncured, .current, [(.reload, 1)]), at: 0)
            #expect(tally.failures == 3)
        }

        @Test func eventsAreCountedBySubsystem() {
            var tally = Tally()
            tally.count(.changed(.cpu, name: "cpu3", .add))
            tally.count(.changed(.memory, name: "memory40", .add))
            tally.count(.changed(.memory, name: "memory40", .online))
            tally.count(.lost)
            #expect(tally.cpuEvents == 1 && tally.memoryEvents == 2)
        }

        @Test func aLostImageIsMissedFromTheLoadUntilTheNextIsThere() {
            var tally = Tally()
            tally.beginLoad(at: 1_000)
            tally.count(outcome(.unprotected(error), .lost), at: 3_000)
            #expect(tally.unprotected == 0 && tally.lostSince == 1_000)
            #expect(tally.settled(at: 4_000).unprotected == 3_000)
            tally.count(outcome(.unprotected(error), .lost), at: 5_000)
            #expect(tally.lostSince == 1_000)
            tally.count(outcome(.settled, .current, [(.reload, 500)]), at: 9_000)
            #expect(tally.unprotected == 8_000 && tally.lostSince == nil)
            #expect(tally.settled(at: 20_000).unprotected == 8_000)
        }

        /// It was killed in its load, and its saved state is from before that.
        @Test func aKilledDaemonsSuccessorCountsOn() throws {
            var tally = Tally()
            tally.count(.changed(.cpu, name: "cpu3", .add))
            tally.beginLoad(at: 1_000)
            let saved = Remembered(
                engine: Engine.SavedState(), source: nil, patches: nil, lastRefresh: nil,
                tally: tally)
            var next = try #require(
                ReportJSON.value(Remembered.self, from: ReportJSON.bytes(of: saved))?.tally)
            #expect(next == tally)
            next.count(outcome(.settled, .current, [(.reload, 10)]), at: 2_500)
            // Whether it was lost is not known: only what was seen counts.
            #expect(next.unprotected == 10)
            next.beginLoad(at: 3_000)
            next.count(outcome(.settled, .lost), at: 4_000)
            next.count(outcome(.settled, .current, [(.reload, 10)]), at: 4_500)
            #expect(next.unprotected == 1_510 && next.cpuEvents == 1)
        }

        @Test func aTallyOfAnotherVersionStartsAfreshAndTheRestIsKept() throws {
            let text = #"{"engine":{"expectsImage":true},"tally":{"patches":"many"}}"#
            let known = try #require(
                ReportJSON.value(Remembered.self, from: Array(text.utf8)))
            #expect(known.engine.expectsImage && known.tally == nil)
        }
    }
}
