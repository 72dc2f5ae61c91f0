// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// Nothing that everybody may read has an address in it.
    @Suite struct ReportForEveryoneTests {
        private static let address = "/proc/kcore does not map the address 0xffffffffb46a1b20"

        /// A report that has addresses wherever one can be.
        private func report() throws -> Report {
            let look = Combinations.look(.unverified(because: Self.address))
            let ways = Engine.Ways(
                patch: .imageNotUnderstood(because: Self.address),
                reload: .noCommandLine(because: Self.address))
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            let daemon = Report.Daemon(running: true, pid: 1, lastRefresh: nil)
            var report = Report(of: look, assessment, ways: ways, daemon: daemon)
            report.patchObstacle = "\(PatchObstacle.imageNotUnderstood(because: Self.address))"
            report.commandLine = Report.CommandLine(
                text: "elfcorehdr=867636K a=1 elfcorehdr=0x33000000 acpi_rsdp=0x7fe0 b=0xABC"
                    + " memmap=640K@4K",
                lacks: [])
            return report
        }

        @Test func sentencesAndParametersHaveNone() throws {
            let report = try report()
            let all = String(decoding: ReportJSON.bytes(of: report), as: UTF8.self)
            #expect(all.split(separator: "0xffffffffb46a1b20").count > 4)
            let hidden = report.withoutAddresses
            let text = String(decoding: ReportJSON.bytes(of: hidden), as: UTF8.self)
            #expect(!text.lowercased().contains("0x") && !text.contains("4K"))
            #expect(hidden.commandLine?.text == "a=1 b=(address)")
            #expect(hidden.summary.contains("does not map the address (address)"))
        }

        @Test func theStatusLineHasNone() {
            let status = ServiceManager.assignment(ofStatus: Self.address)
            #expect(status == "STATUS=/proc/kcore does not map the address (address)")
        }
    }
}
