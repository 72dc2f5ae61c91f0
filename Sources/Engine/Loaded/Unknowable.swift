// SPDX-License-Identifier: Apache-2.0

/// Why something in the kernel's memory cannot be known.
///
/// The one error type of this room. It is not a verdict: it becomes a `Fact` that is unknown for
/// this reason, and is never taken for a damaged or a missing image.
package struct Unknowable: Error, Equatable {
    /// One sentence without its full stop.
    package let reason: String
    /// Whether another look may know it, because something moved during this one.
    let mayPass: Bool
    /// Whether it is hidden because the host encrypts its memory.
    let isEncrypted: Bool

    /// Creates an error from its reason.
    init(_ reason: String, mayPass: Bool = false, isEncrypted: Bool = false) {
        self.reason = reason
        self.mayPass = mayPass
        self.isEncrypted = isEncrypted
    }

    /// Makes an attempt, and turns a failed system call into a reason.
    ///
    /// - Throws: What failed, in the system's words.
    static func ifFailed<Value>(
        _ attempt: () throws(SystemError) -> Value
    ) throws(Unknowable) -> Value {
        do throws(SystemError) {
            return try attempt()
        } catch {
            throw Unknowable("\(error)", mayPass: error.mayPass)
        }
    }
}

extension Fact {
    /// Asks a question, and keeps the reason if there is no answer.
    package init(_ question: () throws(Unknowable) -> Value) {
        do throws(Unknowable) {
            self = .known(try question())
        } catch {
            self = .unknown(because: error.reason)
        }
    }
}
