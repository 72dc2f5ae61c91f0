// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A system call that failed: what was being done, to what, and the kernel's reason.
///
/// The one error type of everything that touches the machine. Outcomes an operator must expect (a
/// busy kernel, a missing file in the configuration) are enum cases where they arise, not this.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was attempted, with its object: `open /proc/iomem`.
    package let operation: String
    /// The error number the call left, as in errno(3).
    package let errno: CInt

    /// Creates an error from what was attempted and the error number it left.
    package init(_ operation: String, errno: CInt) {
        self.operation = operation
        self.errno = errno
    }

    /// Whether what was asked for is not there, or goes while it is asked: the kernel lets nobody begin
    /// to read a file of a device that it is removing (fs/kernfs/file.c, ENODEV).
    package var isAbsence: Bool { errno == ENOENT || errno == ENODEV }

    /// The operation and the system's own words for the reason.
    package var description: String { "\(operation): \(SystemError.words(for: errno))" }

    /// Returns the system's words for an error number.
    ///
    /// The corresponding C function is `strerror_r`, in its POSIX form.
    package static func words(for errno: CInt) -> String {
        // The longest message of glibc is under 60 bytes; 128 leaves room for translations.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            guard let words = buffer.baseAddress,
                unsafe strerror_r(errno, words, buffer.count) == 0
            else { return "error \(errno)" }
            return unsafe String(cString: words)
        }
    }
}
