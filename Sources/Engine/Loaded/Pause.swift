// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Waiting for the kernel to finish what takes it less than a moment.
enum Pause {
    /// Waits.
    ///
    /// The corresponding C function is `usleep`.
    static func milliseconds(_ count: UInt32) { usleep(count * 1000) }
}
