// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What systemd-report is answered, and what a client that is none.
    @Suite struct MetricsProviderTests {
        private func provider(isSaved: Bool = true) -> MetricsProvider {
            let daemon = Report.Daemon(running: true, pid: 7)
            var seen = Combinations.observation()
            seen.remembered = Combinations.half
            let look = Combinations.look(.stale(Combinations.lossy), seen)
            // A path with a quote in it, as somebody may name a file.
            let ways = Engine.Ways(
                patch: .switchedOff, reload: .empty(.kernel, path: "/a\"\nb"))
            let assessment = Assessment(of: look, ways: ways, daemonRuns: true)
            let report = Report(of: look, assessment, ways: ways, daemon: daemon)
            var tally = Tally()
            tally.count(.changed(.cpu, name: "cpu1", .add))
            let state = State(time: 10_000, lifetime: 600, report: report, tally: tally)
            return MetricsProvider(
                last: LastReport(isSaved ? state : nil, now: 10_001, pid: 7),
                state: isSaved ? state : nil)
        }

        private func replies(
            _ request: String, isSaved: Bool = true
        ) throws -> [[String: Any]]? {
            try provider(isSaved: isSaved).replies(to: Array(request.utf8))?.map { bytes in
                #expect(!bytes.contains(0))
                return try #require(
                    try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
            }
        }

        @Test func everyMetricHasTheSocketsName() throws {
            for method in ["List", "Describe"] {
                let request = #"{"method":"io.systemd.Metrics.\#(method)","more":true}"#
                let all = try #require(try replies(request))
                #expect(all.count > 20)
                for reply in all {
                    let content = try #require(reply["parameters"] as? [String: Any])
                    let name = try #require(content["name"] as? String)
                    #expect(name.hasPrefix("io.github.kdumpHotplugd."))
                }
                #expect(all.dropLast().allSatisfy { $0["continues"] as? Bool == true })
                #expect(all.last?["continues"] == nil)
            }
        }

        @Test func numbersAreNumbersAndWordsAreWords() throws {
            let all = try #require(
                try replies(#"{"method":"io.systemd.Metrics.List","more":true,"parameters":{}}"#))
            func value(_ name: String, _ field: String? = nil) -> Any? {
                all.lazy.compactMap { $0["parameters"] as? [String: Any] }.first {
                    let fields = $0["fields"] as? [String: String]
                    return $0["name"] as? String == "io.github.kdumpHotplugd.\(name)"
                        && (field == nil || fields?.values.first == field)
                }?["value"]
            }
            #expect(value("Verdict") as? String == "CRITICAL")
            #expect((value("Summary") as? String)?.contains("/a\"\nb") == true)
            #expect(value("MemoryMissingBytes") as? Int == 512 << 20)
            #expect(value("CheckState", "critical") as? Int == 1)
            #expect(value("HotplugEventsTotal", "cpu") as? Int == 1)
            #expect(value("LastCheckTimestampSeconds") as? Int == 10_000)
        }

        @Test func withoutADaemonNothingIsClaimed() throws {
            let all = try #require(
                try replies(#"{"method":"io.systemd.Metrics.List","more":true}"#, isSaved: false))
            let names = all.compactMap { ($0["parameters"] as? [String: Any])?["name"] as? String }
            #expect(names.contains("io.github.kdumpHotplugd.Verdict"))
            #expect(!names.contains { $0.contains("Total") || $0.contains("LastCheck") })
        }

        @Test(arguments: [
            (#"{"method":"io.systemd.Metrics.List"}"#, "ExpectedMore"),
            (#"{"method":"io.systemd.Metrics.Set"}"#, "MethodNotFound"),
            (#"{"method":"io.systemd.Manager.List"}"#, "InterfaceNotFound"),
            (#"{"method":""}"#, "InterfaceNotFound"),
            (
                #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"x"}}"#,
                "InterfaceNotFound"
            ),
        ])
        func anotherRequestIsRefused(request: String, error: String) throws {
            let all = try #require(try replies(request))
            #expect(all.count == 1)
            #expect(all.first?["error"] as? String == "org.varlink.service.\(error)")
        }

        @Test func nobodyWaitsForAOneWayReply() throws {
            let request = #"{"method":"org.varlink.service.GetInfo","oneway":true}"#
            #expect(try replies(request)?.isEmpty == true)
        }

        @Test(arguments: ["", "{", "[]", #"{"method":3}"#, #"{"more":true}"#])
        func whatIsNoRequestEndsTheConnection(request: String) throws {
            #expect(try replies(request) == nil)
        }

        /// The process that systemd starts: requests in pieces, several at once, and ones too long.
        @Test func aConnectionIsServedToItsEnd() throws {
            let program = Tool.daemon
            func talk(_ text: String) throws -> (status: Int32, said: String) {
                try Tool.run(program, ["--report-varlink"], on: text)
            }
            let info = #"{"method":"org.varlink.service.GetInfo"}"# + "\0"
            let two = try talk(info + info)
            #expect(two.status == 0 && two.said.split(separator: "\0").count == 2)
            // The client goes in the middle of a request.
            #expect(try talk(String(info.dropLast(9))) == (0, ""))
            #expect(try talk("").status == 0)
            let garbled = try talk("{\0")
            #expect(garbled.status == 1 && garbled.said.contains("is not understood"))
            let long = try talk(String(repeating: "x", count: 66_000))
            #expect(long.status == 1 && long.said.contains("is too long"))
        }
    }
}
