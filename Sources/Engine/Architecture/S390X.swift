// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// IBM Z.
    ///
    /// The capture kernel makes the core header itself, so an image never goes stale
    /// (arch/s390/kernel/crash_dump.c, `elfcorehdr_alloc`).
    package static let s390x = Architecture(name: "s390x", number: 22, imagesGoStale: false)
}
