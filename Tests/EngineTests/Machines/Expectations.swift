// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Does what must fail, and returns its error; where it does not fail, that is recorded.
func failure<Failure: Error, Value>(
    of attempt: () throws(Failure) -> Value, sourceLocation: SourceLocation = #_sourceLocation
) -> Failure? {
    do throws(Failure) {
        let value = try attempt()
        Issue.record("did not fail: \(value)", sourceLocation: sourceLocation)
        return nil
    } catch {
        return error
    }
}

/// The name of an enum's case, without what goes with it.
func name(of value: some Any) -> String {
    Mirror(reflecting: value).children.first?.label ?? "\(value)"
}

extension Fact {
    /// Why it is not known; `nil` where it is.
    var reason: String? {
        if case .unknown(let reason) = self { reason } else { nil }
    }
}
