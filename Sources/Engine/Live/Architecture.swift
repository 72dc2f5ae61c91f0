// SPDX-License-Identifier: Apache-2.0

/// The processor architectures whose crash kernels differ in a way that matters here.
package enum Architecture: String, Equatable, Sendable {
    /// 64-bit x86.
    case x86 = "x86_64"
    /// 64-bit Arm.
    case arm = "aarch64"
    /// 64-bit little-endian POWER.
    case power = "ppc64le"
    /// IBM Z: the capture kernel builds the core header itself, so an image never goes stale
    /// (arch/s390/kernel/crash_dump.c, `elfcorehdr_alloc`).
    case z = "s390x"
    /// Any other.
    case other

    /// The architecture this program was built for.
    package static var current: Architecture {
        #if arch(x86_64)
            .x86
        #elseif arch(arm64)
            .arm
        #elseif arch(powerpc64le)
            .power
        #elseif arch(s390x)
            .z
        #else
            .other
        #endif
    }
}
