// SPDX-License-Identifier: Apache-2.0

/// Answers systemd-report: the daemon's last report as metrics of the Varlink interface
/// `io.systemd.Metrics`; pure.
///
/// A request is a JSON object, and so is each reply (varlink.org, "Method Call"); the NUL that ends
/// them belongs to `MetricsConnection`. The names of metrics begin with that of the socket: systemd-report
/// takes no others.
struct MetricsProvider {
    /// The name of the socket in `/run/systemd/report`.
    static let name = "io.github.kdumpHotplugd"

    /// The last report of the daemon.
    let last: LastReport
    /// The state in which it was; `nil` if the daemon has left none.
    let state: State?

    /// What a client asks.
    private struct Request: Decodable {
        let method: String
        var more: Bool?
        var oneway: Bool?
        var parameters: Parameters?
    }

    private struct Parameters: Decodable {
        var interface: String?
    }

    /// One reply; more follow if it `continues`.
    private struct Reply<Content: Encodable>: Encodable {
        var error: String?
        var parameters: Content
        var continues: Bool?
    }

    private typealias Metric = MetricsDescription.Metric
    private typealias Family = MetricsDescription.Family

    /// The replies to a request, each a JSON object; `nil` if it is none, so that the connection is to be
    /// closed.
    func replies(to bytes: [UInt8]) -> [[UInt8]]? {
        guard let request = ReportJSON.value(Request.self, from: bytes) else { return nil }
        let replies: [[UInt8]]
        switch request.method {
        case "io.systemd.Metrics.List": replies = stream(metrics, request)
        case "io.systemd.Metrics.Describe": replies = stream(families, request)
        case "org.varlink.service.GetInfo":
            replies = [reply(MetricsDescription.Info(version: Command.version))]
        case "org.varlink.service.GetInterfaceDescription":
            let interface = request.parameters?.interface ?? ""
            if let text = MetricsDescription.interfaces[interface] {
                replies = [reply(["description": text])]
            } else {
                replies = [failure("InterfaceNotFound", ["interface": interface])]
            }
        default:
            let interface = request.method.split(separator: ".").dropLast().joined(separator: ".")
            replies =
                MetricsDescription.interfaces[interface] == nil
                ? [failure("InterfaceNotFound", ["interface": interface])]
                : [failure("MethodNotFound", ["method": request.method])]
        }
        return request.oneway == true ? [] : replies
    }

    /// All numbers that are known, and the verdict in words.
    private var metrics: [Metric] {
        let words = [
            Metric(name: "Verdict", value: .text(last.report.verdict.rawValue)),
            Metric(name: "Summary", value: .text(last.report.summary)),
        ]
        // Where nobody has looked, there is no time at which, and nothing was counted.
        let known = numbers.filter {
            state != nil || $0.kind == .gauge && $0.name != "kdump_last_check_timestamp_seconds"
        }
        return words + known.flatMap { family in family.samples.map { Metric(family, $0) } }
    }

    private var families: [Family] {
        [
            Family(name: "Verdict", description: "How bad the state is.", type: "string"),
            Family(name: "Summary", description: "Why: one sentence.", type: "string"),
        ] + numbers.map(Family.init)
    }

    private var numbers: [MetricFamily] {
        ReportMetrics.families(
            of: State(
                time: state?.time ?? 0, lifetime: last.lifetime, report: last.report,
                tally: state?.tally))
    }

    /// One reply for each element, for a client that has asked for more than one.
    private func stream(_ elements: [some Encodable], _ request: Request) -> [[UInt8]] {
        guard request.more == true else { return [failure("ExpectedMore", [:])] }
        return elements.enumerated().map { index, element in
            ReportJSON.bytes(
                of: Reply(parameters: element, continues: index + 1 < elements.count ? true : nil))
        }
    }

    private func reply(_ content: some Encodable) -> [UInt8] {
        ReportJSON.bytes(of: Reply(parameters: content))
    }

    private func failure(_ name: String, _ parameters: [String: String]) -> [UInt8] {
        ReportJSON.bytes(of: Reply(error: "org.varlink.service.\(name)", parameters: parameters))
    }
}
