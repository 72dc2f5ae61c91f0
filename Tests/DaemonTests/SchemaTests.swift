// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What `--json` prints is what the schemas in `fleet` promise, whatever was seen.
    @Suite struct SchemaTests {
        private let daemon = Report.Daemon(
            running: true, pid: 1,
            lastRefresh: Report.LastRefresh(method: .replay, time: 1_700_000_000, window: 879))

        private func complaint(
            about objects: some Sequence<String>, _ arguments: String...
        ) throws -> String {
            let schema = repository("fleet/check.schema.json")
            let (status, said) = try Tool.run(
                repository(".ci/validate-json"), [schema] + arguments,
                on: objects.joined(separator: "\n"))
            #expect((status == 0) == said.isEmpty)
            return said
        }

        private func json(_ report: Report) -> String {
            String(decoding: ReportJSON.bytes(of: report), as: UTF8.self)
        }

        /// A report with everything in it that one can have.
        private func fullest() throws -> Report {
            let address = "/proc/kcore does not map the address 0xffffffffb46a1b20"
            var look = try #require(
                try Combinations.looks().first {
                    $0.observation.image != nil && $0.observation.remembered != nil
                        && $0.observation.live.value != nil && $0.verdict == .current
                })
            var seen = look.observation
            seen.keepsUp = false
            look = Combinations.look(.stale(Combinations.lossy), seen)
            let files = Configuration(
                kernel: "/k", initrd: "/i", commandLine: .known("a=1"), by: "/etc/kdump.conf")
            let ways = Engine.Ways(
                patch: .imageNotUnderstood(because: address), reload: .noSource,
                configuration: files, replacement: .initrd(resident: 1, configured: 2))
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            var report = Report(of: look, assessment, ways: ways, daemon: daemon)
            let range = Report.Range(AddressRange(start: 1, end: 2))
            report.reserved = [range]
            report.memory?.phantom = [range]
            return report
        }

        @Test func everyReportKeepsToTheSchema() throws {
            var objects: Set<String> = [json(try fullest())]
            for look in try Combinations.looks() {
                for ways in Combinations.ways {
                    let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
                    let report = Report(of: look, assessment, ways: ways, daemon: daemon)
                    objects.insert(json(report))
                    objects.insert(json(report.withoutAddresses))
                }
            }
            let error = SystemError("open /proc/iomem", errno: 13)
            objects.insert(json(Report(Assessment(unreadable: error), daemon: daemon)))
            #expect(objects.count > 1_000)
            let said = try complaint(about: objects, "--all-keys")
            #expect(said == "", "\(said)")
        }

        @Test func aSchemaThatIsBrokenIsNoticed() throws {
            let good = json(try fullest())
            #expect(try complaint(about: [good]) == "")
            for (old, new) in [
                (#""version":1"#, #""version":2"#), (#""summary":"#, #""sentence":"#),
                (#""entries":"#, #""count":"#), (#""verdict":"CRITICAL""#, #""verdict":"BAD""#),
                (#""method":"replay""#, #""method":"none""#),
            ] {
                let bad = good.replacing(old, with: new)
                #expect(bad != good, "\(old)")
                #expect(try complaint(about: [bad]) != "", "\(old)")
            }
            var less = try fullest()
            less.commandLine = nil
            #expect(
                try complaint(about: [json(less)], "--all-keys").contains(
                    "no object has /commandLine/lacks"))
        }
    }
}
