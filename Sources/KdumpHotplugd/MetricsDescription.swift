// SPDX-License-Identifier: Apache-2.0

/// The forms of `io.systemd.Metrics` and `org.varlink.service`, as far as `MetricsProvider` has them.
enum MetricsDescription {
    /// One metric, as `List` replies it.
    struct Metric: Encodable {
        let name: String
        let value: Value
        var fields: [String: String]?

        init(name: String, value: Value) { (self.name, self.value) = (full(name), value) }

        init(_ family: MetricFamily, _ sample: MetricFamily.Sample) {
            name = full(words(of: family.name))
            value = .number(sample.value)
            fields = sample.label.map { [$0.name: $0.value] }
        }
    }

    /// A metric's value.
    enum Value: Encodable {
        case text(String)
        case number(MetricFamily.Value)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .text(let text): try container.encode(text)
            case .number(.count(let count)): try container.encode(count)
            case .number(.microseconds(let time)):
                try container.encode(Double(time) / 1_000_000)
            }
        }
    }

    /// One family, as `Describe` replies it.
    struct Family: Encodable {
        let name: String
        let description: String
        let type: String

        init(name: String, description: String, type: String) {
            (self.name, self.description, self.type) = (full(name), description, type)
        }

        init(_ family: MetricFamily) {
            self.init(
                name: words(of: family.name), description: family.help, type: family.kind.rawValue)
        }
    }

    /// Who replies, for `GetInfo`.
    struct Info: Encodable {
        var vendor = "kdump-hotplugd"
        var product = "kdump-hotplugd"
        let version: String
        var url = "man:kdump-hotplugd(8)"
        var interfaces = MetricsDescription.interfaces.keys.sorted()
    }

    /// The interfaces in the language of varlink.org.
    static let interfaces = [
        "org.varlink.service": """
        interface org.varlink.service
        method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)
        method GetInterfaceDescription(interface: string) -> (description: string)
        error InterfaceNotFound (interface: string)
        error MethodNotFound (method: string)
        error MethodNotImplemented (method: string)
        error InvalidParameter (parameter: string)
        error PermissionDenied ()
        error ExpectedMore ()

        """,
        "io.systemd.Metrics": """
        interface io.systemd.Metrics
        type MetricFamilyType(counter, gauge, string)
        # Requires 'more'.
        method List() -> (name: string, object: ?string, fields: ?object, value: any)
        # Requires 'more'.
        method Describe() -> (name: string, description: string, type: MetricFamilyType)
        error NoSuchMetric()

        """,
    ]

    /// The name with that of the socket before it.
    private static func full(_ name: String) -> String { "\(MetricsProvider.name).\(name)" }

    /// The name that is `kdump_cpus_missing` in Prometheus: `CpusMissing`.
    private static func words(of name: String) -> String {
        name.split(separator: "_").dropFirst().map { Sentences.capitalised(String($0)) }.joined()
    }
}
