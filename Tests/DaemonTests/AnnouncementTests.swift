// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What is said of each way in which a reconciliation can end.
    @Suite struct AnnouncementTests {
        private static let error = SystemError("kexec_file_load", errno: 22)

        private func announcement(
            _ verdict: Verdict, _ end: Engine.End, refreshes: [UInt64] = [], loaded: Bool = true,
            ways: Engine.Ways = Engine.Ways(patch: nil, reload: nil),
            unpatched: PatchObstacle? = nil
        ) -> Announcement {
            let look = Combinations.look(verdict, Combinations.observation(isLoaded: loaded))
            return Announcement(
                of: Engine.Reconciliation(
                    look: look, firstVerdict: verdict,
                    refreshes: refreshes.map { Engine.Refresh(method: .reload, window: $0) },
                    unpatched: unpatched, end: end),
                Assessment(of: look, ways: ways, daemonRuns: true))
        }

        @Test func aRefreshIsAnnouncedWithItsWindow() {
            let announcement = announcement(.current, .settled, refreshes: [812_345])
            let words =
                "eloaded (812 ms unprotected): the crash kernel covers 1023 MiB of RAM and"
                + " 2 CPUs"
            #expect(announcement.entry == .refreshed)
            #expect(announcement.message.text == "R" + words)
            #expect(announcement.status == "OK - r" + words)
            #expect(announcement.message.fields.contains("KDUMP_WINDOW_USEC=812345"))
            #expect(announcement.message.fields.contains("KDUMP_REFRESH=reload"))
            #expect(announcement.message.fields.contains("KDUMP_STATE=current"))
        }

        @Test func severalRefreshesAreCountedAndTheLongestWindowIsTold() {
            let announcement = announcement(.current, .settled, refreshes: [7_000, 812_345, 8_000])
            #expect(
                announcement.status.hasPrefix(
                    "OK - reloaded 3 times (827 ms unprotected in all, 812 ms at most): the crash"))
        }

        @Test func aReloadInsteadOfAPatchSaysWhy() {
            let announcement = announcement(
                .current, .settled, refreshes: [812_345], unpatched: .failedBefore)
            #expect(
                announcement.message.text.hasPrefix(
                    "Reloaded (812 ms unprotected) because \(PatchObstacle.failedBefore): the crash"
                ))
            let wanted = self.announcement(
                .current, .settled, refreshes: [812_345], unpatched: .switchedOff)
            #expect(wanted.message.text.hasPrefix("Reloaded (812 ms unprotected): "))
        }

        @Test func aParameterThatAReloadAddedIsNamed() {
            let announcement = announcement(
                .missingParameter([.leaveHotAddedMemoryAlone]), .settled, refreshes: [1])
            #expect(
                announcement.message.text.hasPrefix(
                    "Reloaded with acpi_no_memhotplug added to its command line (1 µs"))
        }

        @Test func aMachineThatStillChangesIsMentioned() {
            let announcement = announcement(
                .stale(Combinations.lossy), .stillMoving, refreshes: [1_000])
            #expect(
                announcement.status
                    == "CRITICAL - reloaded (1 ms unprotected), but the machine has changed again:"
                    + " a crash now loses 512 MiB of 1023 MiB RAM and CPU 1; kdump-hotplugd will"
                    + " refresh it")
        }

        /// What waits is not the machine, once a storm is over.
        @Test func aLoadThatHasToWaitSaysWhy() {
            let lossy = Verdict.stale(Combinations.lossy)
            let resting = announcement(lossy, .resting(until: 9)).message.text
            #expect(resting.hasPrefix("Recent loads have used up the unprotected time"))
            let postponed = announcement(lossy, .postponed(until: 9)).message.text
            #expect(postponed.hasPrefix("The machine is still changing: a crash now loses"))
        }

        @Test func aLossIsAnAlarm() {
            let announcement = announcement(.lost, .unprotected(Self.error), loaded: false)
            #expect(announcement.entry == .unprotected)
            #expect(
                announcement.message.text.hasPrefix(
                    "NOT PROTECTED (kexec_file_load: Invalid argument): a crash now leaves no dump")
            )
            #expect(announcement.message.fields.contains("ERRNO=22"))
        }

        @Test func anObstacleIsWorseWithoutAnImage() {
            let ways = Engine.Ways(patch: .loadingDisabled, reload: .noSource)
            let stale = announcement(
                .stale(Combinations.lossy), .blocked(.noSource), ways: ways)
            #expect(stale.entry == .obstacle)
            #expect(stale.message.text.hasSuffix("; it cannot be reloaded: \(Obstacle.noSource)"))
            #expect(stale.message.fields.contains("KDUMP_OBSTACLE=\(Obstacle.noSource)"))
            let lost = announcement(.lost, .blocked(.noSource), loaded: false, ways: ways)
            #expect(lost.entry == .unprotectedObstacle)
            #expect(lost.message.fields.contains("KDUMP_OBSTACLE=\(Obstacle.noSource)"))
        }

        @Test func anObstacleOfTheAttemptItselfIsNamed() {
            let obstacle = Obstacle.beingWritten(.initrd, path: "/i")
            let announcement = announcement(.stale(Combinations.lossy), .blocked(obstacle))
            #expect(announcement.message.text.hasPrefix("No reload: \(obstacle): a crash now"))
        }

        @Test(arguments: [(7, "process 7"), (nil, "another program")] as [(Int32?, String)])
        func whoHoldsTheLockIsNamed(pid: Int32?, name: String) {
            let holder = LoadLock.Holder(path: "/lock", pid: pid)
            let announcement = announcement(.stale(Combinations.lossy), .held(holder))
            #expect(announcement.entry == .retry)
            #expect(
                announcement.message.text.hasPrefix(
                    "Waiting for \(name), which holds /lock: a crash")
            )
        }

        @Test func aFailureSaysThatTheOldImageIsThere() {
            let announcement = announcement(.stale(Combinations.lossy), .refused(Self.error))
            #expect(announcement.entry == .refreshFailed)
            #expect(
                announcement.message.text.hasPrefix(
                    "The reload failed (kexec_file_load: Invalid argument) and the old image is"
                        + " still loaded: a crash now loses"))
            let uncured = self.announcement(.stale(Combinations.lossy), .uncured)
            #expect(uncured.entry == .refreshFailed)
        }

        @Test func aQuietLookHasTheEntryOfItsSeverity() {
            #expect(announcement(.current, .settled).entry == .current)
            let barred = announcement(
                .current, .settled, ways: Engine.Ways(patch: .switchedOff, reload: .noSource))
            #expect(barred.entry == .atRisk && barred.assessment.severity == .warning)
            #expect(announcement(.waiting(Combinations.lossy), .settled).entry == .waiting)
            #expect(announcement(.nothingLoaded, .settled).entry == .idle)
            #expect(announcement(.nothingReserved, .settled).entry == .impossible)
            #expect(announcement(.unsupported, .settled).entry == .impossible)
            let unknown = announcement(.unverified(because: "u"), .settled)
            #expect(unknown.entry == .unverified && unknown.assessment.severity == .unknown)
        }

        @Test func anImageThatWasUnloadedAfterItsRefreshIsNotAnnouncedAsRefreshed() {
            let idle = announcement(.nothingLoaded, .settled, refreshes: [1], loaded: false)
            #expect(idle.entry == .idle)
            #expect(idle.message.text.hasPrefix("A crash now leaves no dump"))
        }

        @Test func routineLooksAreSilentWhileNothingChanges() {
            let well = announcement(.current, .settled)
            let refreshed = announcement(.current, .settled, refreshes: [1])
            #expect(well.isNews(after: nil) && refreshed.isNews(after: refreshed))
            #expect(!well.isNews(after: well) && !well.isNews(after: refreshed))
            let ways = Engine.Ways(patch: .switchedOff, reload: .noSource)
            let atRisk = announcement(.current, .settled, ways: ways)
            let refreshedAtRisk = announcement(.current, .settled, refreshes: [1], ways: ways)
            #expect(!atRisk.isNews(after: refreshedAtRisk))
            #expect(atRisk.isNews(after: refreshed) && atRisk.isNews(after: well))
            let idle = announcement(.nothingLoaded, .settled, loaded: false)
            for other in [atRisk, idle, announcement(.lost, .unprotected(Self.error))] {
                #expect(well.isNews(after: other) && other.isNews(after: well))
            }
        }
    }
}
