// SPDX-License-Identifier: Apache-2.0

/// Reads several facts of the machine, and notes whether one that failed may be there a moment later.
///
/// It makes values of errors and does not try again: whoever looks decides that (``Tries``).
struct Reading {
    /// Whether a read has failed that may succeed a moment later.
    private(set) var mayPass = false

    /// Returns what `body` reads; an error becomes the reason why it is not known.
    mutating func fact<Value>(_ body: () throws(SystemError) -> Fact<Value>) -> Fact<Value> {
        do throws(SystemError) {
            return try body()
        } catch {
            mayPass = mayPass || error.mayPass
            return .unknown(because: "\(error)")
        }
    }

    /// Returns what `body` reads with the help of another fact.
    ///
    /// If that is not known, this is not known for the same reason.
    mutating func fact<Given, Value>(
        given: Fact<Given>, _ body: (Given) throws(SystemError) -> Fact<Value>
    ) -> Fact<Value> {
        switch given {
        case .known(let given): fact { () throws(SystemError) in try body(given) }
        case .unknown(let reason): .unknown(because: reason)
        }
    }
}
