// SPDX-License-Identifier: Apache-2.0

/// Something the machine was asked: its answer, or why there is none.
///
/// "Unknown" is an answer of its own: an unprivileged reader of `/proc/iomem` sees zeros, and a
/// machine without memory would look the same. What is unknown is reported with its reason and
/// never judged as if it were empty.
package enum Fact<Value> {
    /// What the machine said.
    case known(Value)
    /// Why it cannot be known: one sentence without its full stop.
    case unknown(because: String)

    /// The value, where there is one.
    package var value: Value? {
        if case .known(let value) = self { value } else { nil }
    }

    /// Returns the same fact of another form of the value; a reason stays as it is.
    package func map<Other>(_ transform: (Value) -> Other) -> Fact<Other> {
        switch self {
        case .known(let value): .known(transform(value))
        case .unknown(let reason): .unknown(because: reason)
        }
    }
}

extension Fact: Equatable where Value: Equatable {}
