// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// The probe, the journal and the status line agree, whatever was seen and done.
    @Suite struct AgreementTests {
        @Test func everyCombinationHasTheSameWordsAndSeverityEverywhere() throws {
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            var seen: Set<String> = []
            for look in try Combinations.looks() {
                for ways in Combinations.ways {
                    let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                    let report = Report(of: look, assessment, ways: ways, daemon: daemon)
                    seen.insert(report.summary)
                    let probe = ReportText.lines(of: report, now: 0).first ?? ""
                    for outcome in Combinations.outcomes(look) {
                        let announcement = Announcement(of: outcome, assessment)
                        try #require(
                            agree(probe, report, announcement),
                            "\(probe) | \(announcement.status) | \(announcement.message.fields)")
                    }
                }
            }
            #expect(seen.count > 30, "different combinations have different sentences")
        }

        /// Whether all say the same: the status line and the message's text what the first line of
        /// the probe says, after what was done; the message's fields what the JSON says.
        private func agree(_ probe: String, _ report: Report, _ announcement: Announcement) -> Bool
        {
            let (severity, summary) = (report.verdict.rawValue, report.summary)
            let text = announcement.message.text
            return probe == "KDUMP \(severity) - \(summary)"
                && announcement.status.hasPrefix("\(severity) - ")
                && announcement.status.hasSuffix(summary)
                && (text.hasSuffix(": " + summary) || text == Sentences.capitalised(summary))
                && announcement.message.fields.contains("KDUMP_VERDICT=\(severity)")
                && announcement.message.fields.contains("KDUMP_SUMMARY=\(summary)")
        }

        @Test func aWaitAfterCrashesIsUnknownEverywhere() {
            let announcement = Announcement(unknownBecause: "waits 4 s")
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            let report = Report(announcement.assessment, daemon: daemon)
            #expect(report.verdict == .unknown)
            #expect(agree("KDUMP UNKNOWN - waits 4 s", report, announcement))
        }

        @Test func anUnreadableMachineIsUnknownEverywhere() {
            let error = SystemError("open /proc/iomem", errno: 13)
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            let report = Report(Assessment(unreadable: error), daemon: daemon)
            #expect(report.verdict == .unknown && report.verdict.exitCode == 3)
            let announcement = Announcement(unreadable: error)
            let probe = "KDUMP UNKNOWN - \(report.summary)"
            #expect(agree(probe, report, announcement))
            #expect(announcement.message.fields.contains("ERRNO=13"))
        }
    }
}
