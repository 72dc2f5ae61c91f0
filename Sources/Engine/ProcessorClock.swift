// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The clock that runs while this process runs on a CPU: what looks are paid with.
///
/// Only effects read it; judgement gets time as an argument.
package enum ProcessorClock {
    /// Returns how much CPU time this process has used, in microseconds.
    ///
    /// The corresponding C function is `clock_gettime`, with CLOCK_PROCESS_CPUTIME_ID.
    package static func microseconds() -> UInt64 {
        MonotonicClock.time(by: CLOCK_PROCESS_CPUTIME_ID)
    }
}
