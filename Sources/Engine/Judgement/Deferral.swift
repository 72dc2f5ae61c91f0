// SPDX-License-Identifier: Apache-2.0

/// Decides whether a load waits because the kernel may be crashing; pure.
///
/// A CPU that panics switches its interrupts off, writes its message and its stack to the console, and
/// only then takes the kexec lock to start the capture kernel (kernel/panic.c, `panic`). A load that
/// another CPU begins meanwhile takes that lock first, waits for the panicking CPU to flush its TLB, and
/// waits for ever: the machine reboots without a dump. The message is in the kernel log before all that.
///
/// All times are microseconds of one monotonic clock; the type reads no clock and no log.
package struct Deferral {
    /// How long a load waits after such a message.
    ///
    /// The message and the stack are about 3 KB. A serial line of 115,200 baud takes 0.3 s for them; one
    /// of 9,600 baud, the slowest in use, 3 s.
    private static let length: UInt64 = 5_000_000
    /// How long no other message makes a load wait: a machine that keeps reporting a fault and does not
    /// crash must be followed all the same.
    private static let pause: UInt64 = 60_000_000

    private var begin: UInt64?

    package init() {}

    /// Whether a load at `now` has to wait, if the kernel has sent an alarm since the last question.
    package mutating func holds(isAlarmed: Bool, at now: UInt64) -> Bool {
        if let begin, now - min(now, begin) < Deferral.pause {
            return now - min(now, begin) < Deferral.length
        }
        begin = isAlarmed ? now : nil
        return isAlarmed
    }
}
