// SPDX-License-Identifier: Apache-2.0

/// A question to the machine: its answer, or why there is none.
///
/// "Unknown" is not "empty": an unprivileged reader of `/proc/iomem` sees zeros, as on a machine
/// without memory. What is unknown is reported with its reason and never judged as empty.
package enum Fact<Value> {
    /// The answer.
    case known(Value)
    /// Why it cannot be known: one sentence without its full stop.
    case unknown(because: String)

    /// The value, if it is known.
    package var value: Value? {
        if case .known(let value) = self { value } else { nil }
    }

    /// Transforms the value, if it is known; a reason stays as it is.
    package func map<Other>(_ transform: (Value) -> Other) -> Fact<Other> {
        switch self {
        case .known(let value): .known(transform(value))
        case .unknown(let reason): .unknown(because: reason)
        }
    }
}

extension Fact: Equatable where Value: Equatable {}
