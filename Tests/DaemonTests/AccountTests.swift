// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What is said of each way in which a reconciliation can end, and what is owed after it.
    @Suite struct AccountTests {
        private static let machine = LiveSystem(
            ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 30)]),
            cpus: NumberSet([0, 1]))
        private static let lossy = Coverage(
            live: machine,
            described: LiveSystem(
                ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 29)]),
                cpus: NumberSet([0])))

        private static var open: Engine.Ways { Engine.Ways(patch: nil, reload: nil) }

        static func look(_ verdict: Verdict, loaded: Bool = true) -> Engine.Look {
            Engine.Look(
                observation: Observation(
                    architecture: .x86, live: .known(machine), reserved: .known([]),
                    support: KernelSupport(isLoaded: loaded), finding: .unknown(because: "test"),
                    coverage: .unknown(because: "test")),
                verdict: verdict, byteCount: 0, microseconds: 0)
        }

        private func account(
            _ verdict: Verdict, _ end: Engine.End, refreshes: [UInt64] = [], loaded: Bool = true,
            on trigger: Trigger = .hotplug, obstacle: Obstacle? = nil,
            unpatched: PatchObstacle? = nil
        ) -> Account {
            Account(
                of: Engine.Reconciliation(
                    look: AccountTests.look(verdict, loaded: loaded), firstVerdict: verdict,
                    refreshes: refreshes.map { Engine.Refresh(method: .reload, window: $0) },
                    unpatched: unpatched, end: end),
                on: trigger, obstacle: obstacle)
        }

        @Test func aRefreshIsToldWithItsWindow() {
            let account = account(.current, .settled, refreshes: [812_345])
            #expect(account.entry == .refreshed)
            #expect(
                account.status
                    == "Reloaded: the crash kernel covers 1023 MiB of RAM and 2 CPUs;"
                    + " unprotected for 812 ms")
            #expect(account.message.fields.contains("KDUMP_WINDOW_USEC=812345"))
            #expect(account.message.fields.contains("KDUMP_VERDICT=current"))
        }

        @Test func aReloadInsteadOfAPatchSaysWhy() {
            let account = account(
                .current, .settled, refreshes: [812_345], unpatched: .failedBefore)
            #expect(
                account.status.hasPrefix(
                    "Reloaded because a patch of this image has failed before: the crash kernel"))
            let known = self.account(
                .current, .settled, refreshes: [812_345], unpatched: .switchedOff)
            #expect(known.status.hasPrefix("Reloaded: "))
        }

        @Test func aMachineThatChangedIsFollowedLikeAnEvent() {
            let coverage = Coverage(live: AccountTests.machine, described: AccountTests.machine)
            let account = account(.stale(coverage), .stillMoving, refreshes: [1_000])
            #expect(account.entry == .refreshed && account.next == .follow)
            #expect(account.status.hasSuffix("the machine still changes"))
        }

        @Test func aLossIsAnAlarmAndIsRetriedSoonest() {
            let error = SystemError("kexec_file_load", errno: 22)
            let account = account(.lost, .unprotected(error), loaded: false)
            #expect(account.entry == .unprotected && account.entry.priority == 1)
            #expect(account.status.hasPrefix("NOT PROTECTED"))
            #expect(account.next == .retry(.unprotected))
        }

        @Test func anObstacleIsWorseWithoutAnImage() {
            #expect(account(.stale(AccountTests.lossy), .blocked(.noSource)).entry == .obstacle)
            let lost = account(.lost, .blocked(.noSource), loaded: false)
            #expect(lost.entry == .unprotected && lost.next == .retry(.stale))
        }

        @Test func aBusyKernelIsAskedAgain() {
            let account = account(.stale(AccountTests.lossy), .busy)
            #expect(account.entry == .retry && account.next == .retry(.busy))
            #expect(
                account.status.contains("a crash now loses") || account.status.contains("loses"))
        }

        @Test(arguments: [(7, "process 7"), (nil, "another program")] as [(Int32?, String)])
        func whoHoldsTheLockIsNamedAndWaitedFor(pid: Int32?, name: String) {
            let holder = LoadLock.Holder(path: "/lock", pid: pid)
            let account = account(.stale(AccountTests.lossy), .held(holder))
            #expect(account.entry == .retry && account.next == .retry(.busy))
            #expect(account.status.hasSuffix("; \(name) holds /lock and is waited for"))
        }

        @Test func aKernelThatKeepsUpIsGivenAMoment() {
            let account = account(.waiting(AccountTests.lossy), .settled)
            #expect(account.entry == .waiting && account.next == .look(after: Engine.grace))
        }

        @Test(arguments: [Trigger.hotplug, .routine], [[], [812_345]])
        func aLoadByAnotherIsLookedFor(trigger: Trigger, refreshes: [UInt64]) {
            let account = account(
                .nothingLoaded, .settled, refreshes: refreshes, loaded: false, on: trigger)
            #expect(account.entry == .idle && account.next == .watch(.absent))
            #expect(account.status.hasPrefix("A crash now leaves no dump"))
        }

        @Test func routineLooksAreSilentWhileAllIsWell() {
            let well = account(.current, .settled, on: .routine)
            #expect(well.next == .rest)
            for last in [JournalEntry.current, .refreshed, .started] {
                #expect(!well.isNews(after: last))
            }
            for last in [JournalEntry.unprotected, .obstacle, .refreshFailed, .idle] {
                #expect(well.isNews(after: last))
            }
            #expect(
                account(.current, .settled, refreshes: [1], on: .routine).isNews(after: .refreshed))
        }

        @Test func everyVerdictHasALevelAndOneSentence() {
            let levels: [(Verdict, Level)] = [
                (.unsupported, .critical), (.nothingReserved, .critical),
                (.nothingLoaded, .critical), (.lost, .critical), (.neverStale, .ok),
                (.current, .ok), (.waiting(AccountTests.lossy), .critical),
                (.stale(AccountTests.lossy), .critical), (.broken(because: "b"), .critical),
                (.missingParameter([.leaveHotAddedMemoryAlone]), .critical),
                (.trusted(because: "t"), .ok),
                (.unverified(because: "u"), .unknown),
            ]
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            for (verdict, level) in levels {
                let look = AccountTests.look(verdict)
                let report = Report(of: look, ways: AccountTests.open, daemon: daemon)
                #expect(report.verdict == level, "\(verdict)")
                #expect(!report.summary.contains("\n") && report.summary.last != ".")
                let lines = ReportText.lines(of: report, now: 0)
                #expect(lines.first == "KDUMP \(level.rawValue) - \(report.summary)")
            }
            let alone = Report.Daemon(running: false, pid: nil, lastRefresh: nil)
            let unguarded = Report(
                of: AccountTests.look(.current), ways: AccountTests.open, daemon: alone)
            #expect(unguarded.verdict == .warning)
            let barred = Report(
                of: AccountTests.look(.current),
                ways: Engine.Ways(patch: .loadingDisabled, reload: .loadingDisabled),
                daemon: daemon)
            #expect(barred.verdict == .warning && barred.obstacles.count == 1)
        }

        @Test func whatAReloadWouldLoadIsTold() {
            let configuration = Configuration(
                kernel: "/k", initrd: "/i", commandLine: .known(""), by: "/etc/f")
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            func lines(_ ways: Engine.Ways) -> [String] {
                let report = Report(of: AccountTests.look(.current), ways: ways, daemon: daemon)
                return ReportText.lines(of: report, now: 0)
            }
            let able = lines(
                Engine.Ways(patch: nil, reload: nil, configuration: configuration))
            #expect(able.contains("reload from   /k with /i, by /etc/f"))
            let barred = lines(
                Engine.Ways(patch: nil, reload: .noLoadsLeft, configuration: configuration))
            #expect(barred.contains("no reload     \(Obstacle.noLoadsLeft)"))
            let stuck = lines(Engine.Ways(patch: .switchedOff, reload: .noSource))
            #expect(stuck.contains("obstacle      \(Obstacle.noSource)"))
            #expect(!stuck.contains { $0.hasPrefix("reload from") || $0.hasPrefix("no reload") })
        }

        @Test func staleIsSaidInNumbers() {
            #expect(
                Sentences.meaning(of: AccountTests.look(.stale(AccountTests.lossy)))
                    == "a crash now loses 512 MiB of 1023 MiB RAM and CPU 1")
        }
    }

    /// Which of the kernel's messages are about its own updates of the image.
    @Suite struct KernelLogTests {
        @Test(arguments: [
            (
                "6,1033,1234,-;crash hp: kexec_trylock() failed, kdump image may be inaccurate\n",
                true
            ),
            ("6,1,2,c;crash hp: unable to locate elfcorehdr segment\n SUBSYSTEM=x\n", true),
            ("6,1,2,-;something about crash hp: \n", false), ("crash hp: no record", false),
            ("", false), (";", false),
        ])
        func isAdmission(record: String, about: Bool) {
            #expect(KernelLog.isAdmission(Array(record.utf8)[...]) == about)
        }
    }
}
