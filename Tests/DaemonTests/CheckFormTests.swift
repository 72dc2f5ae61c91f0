// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What `--check` prints for whom: monitoring plugins, node-problem-detector, people, nobody.
    @Suite struct CheckFormTests {
        private func finding(
            _ verdict: Verdict = .current, remembered: LiveSystem? = Combinations.machine,
            obstacle: Obstacle? = nil, age: Int? = 12
        ) -> Check.Finding {
            var seen = Combinations.observation()
            seen.remembered = remembered
            let look = Combinations.look(verdict, seen)
            let ways = Engine.Ways(patch: obstacle == nil ? nil : .switchedOff, reload: obstacle)
            let refresh = Report.LastRefresh(method: .patch, time: 1_000, window: 879)
            let daemon = Report.Daemon(running: true, pid: 7, lastRefresh: refresh)
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            let report = Report(of: look, assessment, ways: ways, daemon: daemon)
            return Check.Finding(report: report, age: age)
        }

        private func firstLine(_ finding: Check.Finding, _ form: CheckForm = CheckForm()) -> String
        {
            let output = form.output(of: finding, now: 1_003) ?? ""
            return String(output.prefix { $0 != "\n" })
        }

        @Test func theFirstLineEndsWithNumbers() {
            #expect(
                firstLine(finding())
                    == "KDUMP OK - the crash kernel covers 1023 MiB of RAM and 2 CPUs"
                    + "|missing=0B;;0:0;0 phantom=0B;0:0;;0 cpus_missing=0;;0:0;0"
                    + " window=0.000879s age=12s;600;1800")
            let stale = finding(.stale(Combinations.lossy), remembered: Combinations.half)
            #expect(firstLine(stale).contains("|missing=536870912B;;0:0;0 "))
            #expect(firstLine(stale).contains(" cpus_missing=1;;0:0;0 "))
        }

        @Test func whatIsNotKnownIsNoNumber() {
            let error = SystemError("open /proc/iomem", errno: 13)
            let daemon = Report.Daemon(running: false)
            let report = Report(Assessment(unreadable: error), daemon: daemon)
            let line = firstLine(Check.Finding(report: report, age: nil))
            #expect(line.hasPrefix("KDUMP UNKNOWN - ") && !line.contains("|"))
        }

        /// A file with such a name can be configured.
        @Test func aNameCanNeitherBeginTheNumbersNorALine() {
            let obstacle = Obstacle.empty(.kernel, path: "/boot/a|b\nc\u{1B}[2J")
            let line = firstLine(finding(obstacle: obstacle))
            #expect(line.contains("/boot/a¦b c [2J"), "\(line)")
            #expect(line.split(separator: "|").count == 2)
            let seen = firstLine(finding(obstacle: obstacle), CheckForm(isForPeople: true))
            #expect(seen.contains("/boot/a|b c [2J"), "\(seen)")
        }

        @Test func peopleSeeColourAndNoNumbers() {
            let seen = firstLine(finding(), CheckForm(isForPeople: true))
            #expect(seen.hasPrefix("\u{1B}[1;32mKDUMP OK\u{1B}[0m - ") && !seen.contains("|"))
            let plain = firstLine(finding(), CheckForm(isForPeople: true, wantsColour: false))
            #expect(plain.hasPrefix("KDUMP OK - ") && !plain.contains("|"))
            // Colour goes to terminals only.
            #expect(firstLine(finding(), CheckForm(wantsColour: true)).hasPrefix("KDUMP OK"))
        }

        @Test func quietIsSilentAndTheExitCodeStays() {
            let form = CheckForm(text: .nothing)
            #expect(form.output(of: finding(), now: 0) == nil)
            #expect(form.exits.code(for: .critical) == 2)
        }

        @Test(
            arguments: [("", false), ("0", true), ("1", true), (nil, false)] as [(String?, Bool)])
        func theEnvironmentCanAskForPlainText(value: String?, isPlain: Bool) {
            let before = getenv("NO_COLOR").map { String(cString: $0) }
            defer { if let before { setenv("NO_COLOR", before, 1) } else { unsetenv("NO_COLOR") } }
            if let value { setenv("NO_COLOR", value, 1) } else { unsetenv("NO_COLOR") }
            #expect(CheckForm.environmentWantsPlain == isPlain)
        }

        @Test(arguments: [
            (Severity.ok, 0, 0), (.warning, 1, 0), (.critical, 2, 1), (.unknown, 3, 2),
        ])
        func nodeProblemDetectorHasCodesOfItsOwn(severity: Severity, plugin: Int32, npd: Int32) {
            #expect(ExitConvention.plugin.code(for: severity) == plugin)
            #expect(ExitConvention.npd.code(for: severity) == npd)
        }

        @Test func nodeProblemDetectorGetsOneShortLine() throws {
            let form = CheckForm(exits: .npd)
            #expect(
                form.output(of: finding(), now: 0)
                    == "OK - the crash kernel covers 1023 MiB of RAM and 2 CPUs")
            var lines: Set<String> = []
            for look in try Combinations.looks() {
                for ways in Combinations.ways {
                    let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                    let daemon = Report.Daemon(running: true)
                    let report = Report(of: look, assessment, ways: ways, daemon: daemon)
                    let line = form.output(of: Check.Finding(report: report), now: 0)
                    lines.insert(try #require(line))
                }
            }
            #expect(lines.contains { $0.utf8.count == 80 && $0.hasSuffix("...") })
            for line in lines { #expect(line.utf8.count <= 80 && !line.contains("\n"), "\(line)") }
            // A letter of several bytes is not cut.
            let odd = finding(
                obstacle: .empty(.kernel, path: String(repeating: "ß|µ\n", count: 30)))
            let line = try #require(form.output(of: odd, now: 0))
            #expect(line.utf8.count <= 80 && line.utf8.count > 75 && !line.contains("\n"))
        }

        private struct Monitor: Decodable {
            struct Condition: Decodable { let type: String }
            struct Rule: Decodable {
                let type: String
                let condition: String
                let path: String
                let args: [String]
            }
            let plugin: String
            let conditions: [Condition]
            let rules: [Rule]
        }

        @Test func theConfigurationOfNodeProblemDetectorRuns() throws {
            let file = try SystemRoot(repository("fleet")).bytes(of: "/node-problem-detector.json")
            let monitor = try #require(ReportJSON.value(Monitor.self, from: file))
            #expect(monitor.plugin == "custom")
            #expect(monitor.conditions.map(\.type) == ["KernelDumpIncomplete"])
            #expect(monitor.rules.count == 1)
            let rule = try #require(monitor.rules.first)
            #expect(rule.type == "permanent" && rule.condition == "KernelDumpIncomplete")
            #expect(rule.path == "/usr/sbin/kdump-hotplugd")
            let (status, said) = try Tool.run(
                Tool.daemon, rule.args + ["--root", "/var/empty"])
            #expect(
                status == 1 && said.utf8.count <= 81 && said.hasPrefix("CRITICAL - "), "\(said)")
        }

        /// The parser of Monitoring::Plugin, which other plugins are made with, reads the numbers; it
        /// writes the range 0:0 as 0.
        @Test func anotherProgramReadsTheNumbers() throws {
            let line = firstLine(finding(.stale(Combinations.lossy), remembered: Combinations.half))
            let program = """
                use Monitoring::Plugin::Performance;
                for (Monitoring::Plugin::Performance->parse_perfstring(<STDIN>)) {
                    my $limits = $_->threshold;
                    printf "%s %s %s (%s) (%s)\\n", $_->label, $_->value, $_->uom,
                        $limits->warning, $limits->critical;
                }
                """
            let numbers = String(line.split(separator: "|").last ?? "")
            let (status, said) = try Tool.run("/usr/bin/perl", ["-e", program], on: numbers)
            #expect(status == 0)
            #expect(
                said == """
                    missing 536870912 B () (0)
                    phantom 0 B (0) ()
                    cpus_missing 1  () (0)
                    window 0.000879 s () ()
                    age 12 s (600) (1800)

                    """)
        }

        /// `negate` of the monitoring plugins runs a plugin and swaps its states.
        @Test func aPluginOfOthersRunsIt() throws {
            let program = Tool.daemon
            let check = [program, "--check", "--root", "/var/empty"]
            let (status, said) = try Tool.run(
                "/usr/lib/nagios/plugins/negate", ["-s", "-o", "CRITICAL", "-c", "OK"] + check)
            #expect(said.hasPrefix("KDUMP "), "\(said)")
            #expect(said.contains("|"))
            let (own, _) = try Tool.run(check[0], Array(check.dropFirst()))
            #expect([0: 2, 2: 0][own] ?? own == status)
        }
    }
}
