// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The clock that never jumps: what durations are measured with and alarms are set by.
///
/// Only effects read it; judgement gets time as an argument.
package enum MonotonicClock {
    /// Returns the time in microseconds.
    ///
    /// The corresponding C function is `clock_gettime`, with CLOCK_MONOTONIC.
    package static func microseconds() -> UInt64 { time(by: CLOCK_MONOTONIC) }

    /// The time of one of the kernel's clocks, in microseconds.
    static func time(by clock: clockid_t) -> UInt64 {
        var now = timespec()
        unsafe clock_gettime(clock, &now)
        return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1_000
    }
}
