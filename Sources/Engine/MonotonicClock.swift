// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The clock that never jumps: what durations are measured with and alarms are set by.
///
/// Only effects read it; judgement gets time as an argument.
package enum MonotonicClock {
    /// Returns the time in microseconds.
    ///
    /// The corresponding C function is `clock_gettime`, with CLOCK_MONOTONIC.
    package static func microseconds() -> UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1_000
    }

    /// Returns how much CPU time this process has used, in microseconds.
    ///
    /// The corresponding C function is `clock_gettime`, with CLOCK_PROCESS_CPUTIME_ID.
    package static func processorMicroseconds() -> UInt64 {
        var used = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used)
        return UInt64(used.tv_sec) * 1_000_000 + UInt64(used.tv_nsec) / 1_000
    }
}
