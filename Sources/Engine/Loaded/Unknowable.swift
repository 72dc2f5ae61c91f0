// SPDX-License-Identifier: Apache-2.0

/// Why something in the kernel's memory cannot be known.
///
/// The one error of this room. It is never a verdict: what cannot be known is passed on as a `Fact`
/// with its reason, and never taken for a damaged or a missing image.
package struct Unknowable: Error, Equatable {
    /// One sentence without its full stop.
    package let reason: String
    /// Whether it may be known a moment later, because something moved while it was looked at.
    let mayPass: Bool
    /// Whether it is hidden because the host encrypts its memory.
    let isEncrypted: Bool

    /// Creates an error from its reason.
    init(_ reason: String, mayPass: Bool = false, isEncrypted: Bool = false) {
        self.reason = reason
        self.mayPass = mayPass
        self.isEncrypted = isEncrypted
    }

    /// Does what may fail at the machine, and turns its failure into a reason.
    ///
    /// - Throws: What failed, in the system's own words.
    static func ifFailed<Value>(
        _ attempt: () throws(SystemError) -> Value
    ) throws(Unknowable) -> Value {
        do throws(SystemError) {
            return try attempt()
        } catch {
            throw Unknowable("\(error)")
        }
    }
}

extension Fact {
    /// Asks `question`, and keeps the reason where it has no answer.
    package init(_ question: () throws(Unknowable) -> Value) {
        do throws(Unknowable) {
            self = .known(try question())
        } catch {
            self = .unknown(because: error.reason)
        }
    }
}
