// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// How bad each verdict is, and what a report adds to the assessment.
    @Suite struct AssessmentTests {
        private static var open: Engine.Ways { Engine.Ways(patch: nil, reload: nil) }

        private func assessment(
            _ verdict: Verdict, ways: Engine.Ways = open, daemonRuns: Bool = true
        ) -> Assessment {
            Assessment(of: Combinations.look(verdict), ways: ways, daemonRuns: daemonRuns)
        }

        @Test func everyVerdictHasASeverityAndOneSentence() {
            let severities: [(Verdict, Severity)] = [
                (.unsupported, .critical), (.nothingReserved, .critical),
                (.nothingLoaded, .critical), (.lost, .critical), (.neverStale, .ok),
                (.leftToFirmware, .ok),
                (.current, .ok), (.waiting(Combinations.lossy), .critical),
                (.stale(Combinations.lossy), .critical), (.broken(because: "b"), .critical),
                (.missingParameter([.leaveHotAddedMemoryAlone]), .critical),
                (.trusted(because: "t"), .ok), (.unverified(because: "u"), .unknown),
            ]
            for (verdict, severity) in severities {
                let assessment = assessment(verdict)
                #expect(assessment.severity == severity, "\(verdict)")
                #expect(
                    !assessment.sentence.contains("\n") && assessment.sentence.last != "."
                        && assessment.sentence.first?.isLowercase == true)
            }
        }

        @Test func aCurrentImageThatNothingRefreshesIsAWarning() {
            let alone = assessment(.current, daemonRuns: false)
            #expect(alone.severity == .warning && alone.obstacle == nil)
            let barred = assessment(
                .current, ways: Engine.Ways(patch: .loadingDisabled, reload: .loadingDisabled))
            #expect(barred.severity == .warning && barred.obstacle == .loadingDisabled)
            let patchable = assessment(.current, ways: Engine.Ways(patch: nil, reload: .noSource))
            #expect(patchable.severity == .ok && patchable.obstacle == nil)
        }

        @Test func aMissingParameterIsAWarningWhoeverKeepsTheImageUp() throws {
            let looks = try Combinations.looks().filter {
                $0.verdict == .current && !$0.observation.lacks.isEmpty
            }
            #expect(Set(looks.map(\.observation.keepsUp)) == [true, false, nil])
            let words =
                ", but its command line lacks acpi_no_memhotplug: a dump would lose memory that is"
                + " hot-added later"
            for look in looks {
                for (ways, cure) in zip(Combinations.ways, [true, false, true, false]) {
                    let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                    #expect(assessment.severity == .warning)
                    let end = words + (cure ? " until kdump-hotplugd reloads it" : "")
                    #expect(assessment.sentence.hasSuffix(end))
                }
                let alone = Assessment(of: look, ways: Self.open, daemonRuns: false)
                #expect(alone.sentence.hasSuffix(words))
            }
        }

        /// The image is away only as long as a daemon that runs is in a reload.
        @Test func aReloadThatIsUnderWayIsNotCalledAFailure() {
            func isCalledLoading(_ verdict: Verdict, daemonRuns: Bool = true) -> Bool {
                let assessment = Assessment(
                    of: Combinations.look(verdict), ways: Self.open, daemonRuns: daemonRuns,
                    isLoading: true)
                return assessment.sentence.hasSuffix("kdump-hotplugd is loading the crash kernel")
            }
            #expect(isCalledLoading(.lost) && isCalledLoading(.nothingLoaded))
            #expect(!isCalledLoading(.lost, daemonRuns: false) && !isCalledLoading(.current))
        }

        @Test func whatFollowsIsWhatTheDaemonDoes() {
            let stale = Verdict.stale(Combinations.lossy)
            #expect(assessment(stale).sentence.hasSuffix("; kdump-hotplugd will refresh it"))
            #expect(assessment(.lost).sentence.hasSuffix("; kdump-hotplugd will reload it"))
            #expect(
                assessment(.unverified(because: "u")).sentence.hasSuffix(
                    "; kdump-hotplugd will reload it after the next hotplug"))
            #expect(
                assessment(stale, daemonRuns: false).sentence.hasSuffix(
                    "; start kdump-hotplugd.service to refresh it"))
            #expect(
                assessment(stale, ways: Engine.Ways(patch: .switchedOff, reload: .noLoadsLeft))
                    .sentence.hasSuffix("; it cannot be reloaded: \(Obstacle.noLoadsLeft)"))
            var failed = Self.open
            failed.didNotHelp = true
            #expect(
                assessment(stale, ways: failed).sentence.hasSuffix(
                    "; a reload did not help, and kdump-hotplugd tries again only after the next"
                        + " hotplug: restart the kdump service of this distribution, then run"
                        + " systemctl reload kdump-hotplugd"))
            // The first look of a daemon tries again.
            #expect(
                assessment(stale, ways: failed, daemonRuns: false).sentence.hasSuffix(
                    "; start kdump-hotplugd.service to refresh it"))
        }

        @Test func staleIsSaidInNumbers() {
            #expect(
                Sentences.meaning(of: Combinations.look(.stale(Combinations.lossy)))
                    == "a crash now loses 512 MiB of 1023 MiB RAM and CPU 1")
            let shrunk = Coverage(live: Combinations.half, described: Combinations.machine)
            #expect(
                Sentences.meaning(of: Combinations.look(.stale(shrunk)))
                    == "the crash kernel lists 512 MiB of RAM and CPU 1 that the machine no longer"
                    + " has")
        }

        @Test func aCrashThatCannotBeCapturedIsSaid() {
            let look = Combinations.look(.stale(Combinations.stranding))
            #expect(Sentences.meaning(of: look) == "a crash on CPU 1 leaves no dump")
            #expect(assessment(.stale(Combinations.stranding)).severity == .critical)
            let two = Coverage(
                live: Combinations.machine, described: Combinations.half,
                unbootable: NumberSet([0, 1]))
            #expect(
                Sentences.meaning(of: Combinations.look(.stale(two)))
                    == "a crash on one of CPUs 0-1 leaves no dump; a crash now loses 512 MiB of"
                    + " 1023 MiB RAM and CPU 1")
        }

        @Test func anImageThatNoCrashCanUseIsSaid() {
            let flawed = Coverage(
                live: Combinations.machine, described: Combinations.machine, flaw: "it would hang")
            let look = Combinations.look(.stale(flawed))
            #expect(Sentences.meaning(of: look) == "a crash now leaves no dump: it would hang")
            #expect(assessment(.stale(flawed)).severity == .critical)
        }

        @Test func theDeviceTreeIsTold() throws {
            var seen = try #require(
                try Combinations.looks().first { $0.observation.image?.bootProcessors != nil }
            ).observation
            (seen.live, seen.coverage) = (
                .known(Combinations.machine), .known(Combinations.stranding)
            )
            let look = Combinations.look(.stale(Combinations.stranding), seen)
            let report = Report(
                of: look, Assessment(of: look, ways: Self.open, daemonRuns: true), ways: Self.open,
                daemon: Report.Daemon(running: true, pid: 1, lastRefresh: nil))
            let lines = ReportText.lines(of: report, now: 0)
            #expect(lines.contains("device tree   4 KiB at 0x1000, CPUs 0"))
            #expect(lines.contains("CPUs          0-1, no dump of a crash on 1"))
            let everyone = ReportText.lines(of: report.withoutAddresses, now: 0)
            #expect(everyone.contains("device tree   4 KiB, CPUs 0"))
        }

        /// A kernel that updates the image hides it for a moment; then nobody is known to update it.
        @Test(arguments: [
            (Verdict.neverStale, "nothing: it never goes stale"), (.nothingLoaded, "nothing"),
            (.current, "kdump-hotplugd, by patch"),
        ])
        func whoUpdatesTheImageIsTold(verdict: Verdict, name: String) {
            let look = Combinations.look(verdict, Combinations.observation(isLoaded: true))
            let report = Report(
                of: look, Assessment(of: look, ways: Self.open, daemonRuns: true), ways: Self.open,
                daemon: Report.Daemon(running: true, pid: 1, lastRefresh: nil))
            #expect(ReportText.lines(of: report, now: 0).contains("updated by    \(name)"))
        }

        @Test func whatAReloadWouldLoadIsTold() {
            let configuration = Configuration(
                kernel: "/k", initrd: "/i", commandLine: .known(""), by: "/etc/f")
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            func lines(_ ways: Engine.Ways) -> [String] {
                let look = Combinations.look(.current)
                let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                let report = Report(of: look, assessment, ways: ways, daemon: daemon)
                return ReportText.lines(of: report, now: 0)
            }
            let able = lines(
                Engine.Ways(patch: nil, reload: nil, configuration: configuration))
            #expect(able.contains("reload from   /k with /i, set in /etc/f"))
            let barred = lines(
                Engine.Ways(patch: nil, reload: .noLoadsLeft, configuration: configuration))
            #expect(barred.contains("no reload     \(Obstacle.noLoadsLeft)"))
            let stuck = lines(Engine.Ways(patch: .switchedOff, reload: .noSource))
            #expect(stuck.contains("obstacle      \(Obstacle.noSource)"))
            #expect(!stuck.contains { $0.hasPrefix("reload from") || $0.hasPrefix("no reload") })
        }
    }
}
