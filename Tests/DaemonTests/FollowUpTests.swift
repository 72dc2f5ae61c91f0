// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What follows each way in which a reconciliation can end.
    @Suite struct FollowUpTests {
        private func followUp(
            _ verdict: Verdict, _ end: Engine.End, refreshes: [UInt64] = [],
            on trigger: Trigger = .hotplug, isUnsettled: Bool = false
        ) -> FollowUp {
            var seen = Combinations.look(verdict).observation
            seen.isUnsettled = isUnsettled
            let look = Engine.Look(
                observation: seen, verdict: verdict, byteCount: 0, microseconds: 0)
            return FollowUp(
                after: Engine.Reconciliation(
                    look: look, firstVerdict: verdict,
                    refreshes: refreshes.map { Engine.Refresh(method: .reload, window: $0) },
                    unpatched: nil, end: end),
                on: trigger)
        }

        @Test func eachEndHasOne() {
            let error = SystemError("kexec_file_load", errno: 22)
            let stale = Verdict.stale(Combinations.lossy)
            #expect(followUp(stale, .stillMoving, refreshes: [1]) == .event)
            #expect(followUp(stale, .changing(because: "x")) == .retry(.busy))
            #expect(followUp(stale, .postponed(until: 7)) == .load(at: 7))
            #expect(followUp(stale, .resting(until: 7)) == .load(at: 7))
            #expect(followUp(.lost, .unprotected(error)) == .rescue)
            #expect(followUp(.lost, .blocked(.noSource)) == .rescue)
            #expect(followUp(stale, .blocked(.noSource)) == .retry(.stale))
            #expect(followUp(stale, .restored("\(error)"), refreshes: [1]) == .retry(.stale))
            #expect(followUp(stale, .refused(error)) == .retry(.stale))
            #expect(followUp(stale, .busy) == .retry(.busy))
            let holder = LoadLock.Holder(path: "/lock", pid: nil)
            #expect(followUp(stale, .held(holder)) == .retry(.busy))
            #expect(followUp(stale, .uncured) == .none)
        }

        @Test func theLastLoadIsOneOnlyIfThereIsSomethingToLose() {
            func isLast(_ left: Int?, isLoaded: Bool = true) -> Bool {
                KernelSupport(isLoaded: isLoaded, loadsLeft: left).hasLastLoad
            }
            #expect(!isLast(nil) && !isLast(2) && isLast(1) && !isLast(1, isLoaded: false))
        }

        @Test func onlyWhatIsOrdinaryIsToldLater() {
            func isOrdinary(
                _ verdict: Verdict, _ end: Engine.End, _ method: Engine.Refresh.Method = .patch
            ) -> Bool {
                Engine.Reconciliation(
                    look: Combinations.look(verdict), firstVerdict: verdict,
                    refreshes: [Engine.Refresh(method: method, window: 1)], unpatched: nil, end: end
                ).isOrdinary
            }
            let stale = Verdict.stale(Combinations.lossy)
            #expect(isOrdinary(.current, .settled) && isOrdinary(stale, .postponed(until: 1)))
            #expect(isOrdinary(stale, .stillMoving))
            #expect(isOrdinary(stale, .changing(because: "x")))
            #expect(!isOrdinary(.current, .settled, .reload))
            #expect(!isOrdinary(.nothingLoaded, .settled))
            #expect(!isOrdinary(stale, .blocked(.noSource)) && !isOrdinary(stale, .busy))
        }

        /// Memory that leaves after the patch for it changes what there is to say, and not the verdict.
        @Test func nothingHasHappenedOnlyIfTheMachineIsTheSameToo() {
            let told = Combinations.look(.current)
            var smaller = told.observation
            smaller.live = .known(Combinations.half)
            func isNothing(_ seen: Observation) -> Bool {
                let look = Engine.Look(
                    observation: seen, verdict: .current, byteCount: 0, microseconds: 0)
                return Engine.Reconciliation(
                    look: look, firstVerdict: .current, refreshes: [], unpatched: nil, end: .settled
                ).isNothing(after: told)
            }
            #expect(isNothing(told.observation) && !isNothing(smaller))
        }

        @Test func aKernelThatKeepsUpHasItsGraceTime() {
            #expect(
                followUp(.waiting(Combinations.lossy), .settled) == .look(after: Engine.grace))
        }

        @Test(arguments: [Trigger.hotplug, .routine], [[], [812_345]])
        func aLoadByAnotherProgramIsPolledFor(trigger: Trigger, refreshes: [UInt64]) {
            let next = followUp(.nothingLoaded, .settled, refreshes: refreshes, on: trigger)
            #expect(next == .poll(.absent))
        }

        /// The catalog says that the daemon polls in the one case and not in the other.
        @Test func onlyIdlePolls() {
            for verdict in Combinations.verdicts {
                let polls = followUp(verdict, .settled, on: .routine) == .poll(.absent)
                #expect(polls == (verdict == .nothingLoaded), "\(verdict)")
            }
        }

        /// Memory leaves the map after its last event, and nothing tells when.
        @Test(arguments: [Trigger.hotplug, .routine])
        func whatIsHalfDoneIsFollowedToItsEnd(trigger: Trigger) {
            func next(_ verdict: Verdict, _ end: Engine.End) -> FollowUp {
                followUp(verdict, end, on: trigger, isUnsettled: true)
            }
            #expect(next(.current, .settled) == .poll(.unsettled))
            #expect(next(.stale(Combinations.lossy), .uncured) == .poll(.unsettled))
            #expect(next(.nothingLoaded, .settled) == .poll(.absent))
            #expect(next(.lost, .blocked(.noSource)) == .rescue)
        }

        @Test func anEventOrARefreshIsFollowedByASecondLook() {
            let second = FollowUp.look(after: 2_000_000)
            #expect(followUp(.current, .settled) == second)
            #expect(followUp(.current, .settled, refreshes: [1], on: .routine) == second)
            #expect(followUp(.current, .settled, on: .routine) == .none)
        }
    }
}
