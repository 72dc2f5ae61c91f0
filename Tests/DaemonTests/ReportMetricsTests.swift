// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// The numbers for Prometheus: right, complete, and readable by its own tool.
    @Suite struct ReportMetricsTests {
        private static let packages = Result {
            try Tool.unpacked("prometheus", "prometheus-node-exporter")
        }
        private let daemon = Report.Daemon(
            running: true, pid: 1,
            lastRefresh: Report.LastRefresh(method: .patch, time: 1_700_000_000, window: 879))

        private func lines(of report: Report, _ tally: Tally = Tally()) -> [Substring] {
            let state = State(time: 1_700_000_012, lifetime: 600, report: report, tally: tally)
            return ReportMetrics.text(of: state).split(separator: "\n")
        }

        private func report(_ verdict: Verdict, remembered: LiveSystem? = nil) -> Report {
            var seen = Combinations.observation()
            seen.remembered = remembered
            let look = Combinations.look(verdict, seen)
            let ways = Engine.Ways(patch: nil, reload: nil)
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            return Report(of: look, assessment, ways: ways, daemon: daemon)
        }

        @Test func aMachineThatIsWellIsSaidToBe() {
            let said = lines(of: report(.current, remembered: Combinations.machine))
            for line in [
                #"kdump_check_state{state="ok"} 1"#, #"kdump_check_state{state="critical"} 0"#,
                "kdump_dump_complete 1", "kdump_loaded 1", "kdump_memory_bytes 1072693248",
                "kdump_memory_missing_bytes 0", "kdump_memory_phantom_bytes 0", "kdump_cpus 2",
                "kdump_cpus_missing 0", #"kdump_image_integrity{state="unknown"} 1"#,
                "kdump_last_check_timestamp_seconds 1700000012", "kdump_reserved_bytes 0",
                "kdump_check_lifetime_seconds 600",
                "kdump_last_refresh_timestamp_seconds 1700000000",
                #"kdump_hotplugd_build_info{version="0.1.0"} 1"#,
                "# TYPE kdump_check_state gauge", "# TYPE kdump_refreshes_total counter",
                "kdump_unprotected_seconds_total 0.000000",
            ] { #expect(said.contains(Substring(line)), "\(line)") }
        }

        @Test func whatIsMissingIsCounted() {
            let said = lines(
                of: report(.stale(Combinations.lossy), remembered: Combinations.half))
            #expect(said.contains("kdump_dump_complete 0"))
            #expect(said.contains(#"kdump_check_state{state="critical"} 1"#))
            #expect(said.contains("kdump_memory_missing_bytes 536870912"))
            #expect(said.contains("kdump_cpus_missing 1"))
        }

        @Test func whatIsNotKnownIsLeftOut() {
            let error = SystemError("open /proc/iomem", errno: 13)
            let said = lines(of: Report(Assessment(unreadable: error), daemon: daemon))
            #expect(said.contains(#"kdump_check_state{state="unknown"} 1"#))
            #expect(said.contains("kdump_dump_complete 0"))
            for name in [
                "kdump_loaded", "kdump_memory", "kdump_cpus", "kdump_reserved",
                "kdump_command_line_lacks",
            ] { #expect(!said.contains { $0.contains(name) }, "\(name)") }
            // The machine is known here, and not what the image has of it.
            let half = lines(of: report(.unverified(because: "hidden")))
            #expect(half.contains("kdump_memory_bytes 1072693248"))
            #expect(!half.contains { $0.contains("kdump_memory_missing") })
            #expect(!half.contains { $0.contains("kdump_cpus_missing") })
        }

        @Test func labelsAndHelpAreEscaped() {
            let family = MetricFamily(
                .gauge, "a", by: "b", [("a \"quoted\" \\ name\nof two lines", .count(1))],
                "A \"quoted\" \\ help\nof two lines.")
            #expect(
                ReportMetrics.text(family) == #"""
                    # HELP a A "quoted" \\ help\nof two lines.
                    # TYPE a gauge
                    a{b="a \"quoted\" \\ name\nof two lines"} 1

                    """#)
        }

        @Test(
            arguments: [
                (0, "0.000000"), (879, "0.000879"), (1_000_000, "1.000000"),
                (61_000_001, "61.000001"),
            ] as [(UInt64, String)])
        func durationsAreSeconds(time: UInt64, text: String) {
            #expect(MetricFamily.Value.microseconds(time).digits == text)
        }

        /// Prometheus's own tool reads what is written of everything that can be seen.
        @Test func promtoolHasNoComplaint() throws {
            var texts: Set<String> = []
            for look in try Combinations.looks() {
                let ways = Combinations.ways[0]
                let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                let report = Report(of: look, assessment, ways: ways, daemon: daemon)
                texts.insert(lines(of: report).joined(separator: "\n"))
            }
            #expect(texts.count > 10)
            for text in texts { #expect(try complaint(about: text + "\n") == "") }
            // And it would have one.
            #expect(try complaint(about: "kdump_a{b=\"c\n").contains("error"))
        }

        /// What `promtool check metrics` says.
        private func complaint(about text: String) throws -> String {
            let packages = try Self.packages.get()
            return try Tool.run(packages + "/usr/bin/promtool", ["check", "metrics"], on: text).said
        }
    }
}
