// SPDX-License-Identifier: Apache-2.0

/// Numbers of one name, as monitoring systems take them.
///
/// `ReportMetrics` makes them and writes them for Prometheus, `MetricsProvider` for systemd-report.
struct MetricFamily: Equatable {
    /// Whether the number can fall.
    enum Kind: String, Codable {
        /// It can.
        case gauge
        /// It only grows, until the machine is booted anew.
        case counter
    }

    /// A number without a rounding error.
    enum Value: Equatable {
        /// A number of things, bytes or seconds.
        case count(UInt64)
        /// A duration.
        case microseconds(UInt64)
    }

    /// One number of a family.
    struct Sample: Equatable {
        /// What distinguishes it from the others: a name and a value, or nothing.
        var label: Label?
        let value: Value
    }

    /// The name and the value of a label.
    struct Label: Equatable {
        let name: String
        let value: String
    }

    let name: String
    /// What it is, in one line.
    let help: String
    let kind: Kind
    /// The numbers; none where they are not known.
    let samples: [Sample]

    /// One number, or none where it is not known.
    init(_ kind: Kind, _ name: String, _ value: Value?, _ help: String) {
        self.init(kind, name, value.map { [Sample(value: $0)] } ?? [], help)
    }

    /// A number for each value of a label.
    init(
        _ kind: Kind, _ name: String, by label: String, _ values: [(String, Value)], _ help: String
    ) {
        let samples = values.map { Sample(label: Label(name: label, value: $0), value: $1) }
        self.init(kind, name, samples, help)
    }

    /// One of several states: 1 for the one that is, 0 for the others.
    init(state name: String, _ states: [String], is present: String, _ help: String) {
        let values = states.map { ($0, Value.count($0 == present ? 1 : 0)) }
        self.init(.gauge, name, by: "state", values, help)
    }

    private init(_ kind: Kind, _ name: String, _ samples: [Sample], _ help: String) {
        (self.kind, self.name, self.samples, self.help) = (kind, name, samples, help)
    }
}

extension MetricFamily.Value {
    /// The number in digits; a duration in seconds.
    var digits: String {
        switch self {
        case .count(let count): return "\(count)"
        case .microseconds(let time):
            let fraction = "\(time % 1_000_000)"
            let zeros = String(repeating: "0", count: 6 - fraction.count)
            return "\(time / 1_000_000).\(zeros)\(fraction)"
        }
    }
}
