// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How often, and how long apart, what moved while it was looked at is looked at again.
///
/// The one budget for everything that moves: `/proc/iomem` is printed page by page without a lock
/// across them, `/proc/kcore` gets a new layout when memory comes or goes, a load replaces `struct
/// kimage`, and a kernel that updates the image hides it for as long as it writes. Whoever sees a
/// thing move says so at once and waits for nothing.
struct Tries {
    /// 12 tries, 10 ms apart, outlast one DIMM's blocks, which come within milliseconds of each
    /// other, and a kernel's update, which takes well under one.
    private var left = 12

    /// Waits a moment and returns true, as long as another try is left.
    ///
    /// The corresponding C function is `usleep`.
    mutating func again() -> Bool {
        guard left > 1 else { return false }
        left -= 1
        usleep(10_000)
        return true
    }

    /// Notes that a whole digest was computed in vain, which costs half of the tries: an image that
    /// is replaced again and again must not be read a dozen times.
    mutating func spendDigest() { left -= 6 }

    /// Returns what `attempt` does, once nothing moves any more.
    ///
    /// - Throws: What it throws otherwise.
    mutating func settled<Value>(
        _ attempt: () throws(Unknowable) -> Value
    ) throws(Unknowable) -> Value {
        while true {
            do throws(Unknowable) {
                return try attempt()
            } catch {
                guard error.mayPass, again() else { throw error }
            }
        }
    }

    /// The same, with a budget of its own.
    ///
    /// - Throws: What it throws otherwise; then it has been tried often enough.
    static func settled<Value>(
        _ attempt: () throws(Unknowable) -> Value
    ) throws(Unknowable) -> Value {
        var tries = Tries()
        do throws(Unknowable) {
            return try tries.settled(attempt)
        } catch {
            throw Unknowable(error.reason, isEncrypted: error.isEncrypted)
        }
    }
}
