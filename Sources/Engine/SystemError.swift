// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A system call that failed: what was being done, to what, and the kernel's reason.
///
/// The one error type for everything that touches the machine. Outcomes that an operator must
/// expect (a busy kernel, a missing file) are enum cases instead.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was attempted, with its object: `open /proc/iomem`.
    package let operation: String
    /// The error number the call left, as in errno(3); 0 if no call of ours failed.
    package let errno: CInt

    /// Creates an error from what was attempted and the error number it left.
    package init(_ operation: String, errno: CInt) {
        self.operation = operation
        self.errno = errno
    }

    /// Whether the file does not exist or is just going: while the kernel removes a device, nobody
    /// can start to read its files (fs/kernfs/file.c, ENODEV).
    package var isAbsence: Bool { errno == ENOENT || errno == ENODEV }

    /// Whether the same call may succeed a moment later.
    ///
    /// The kernel lacked memory or files, or a device did not answer.
    package var mayPass: Bool { [EINTR, EAGAIN, ENOMEM, ENFILE, EMFILE, EIO].contains(errno) }

    /// The operation and the system's text for the error, if it has one.
    package var description: String {
        errno == 0 ? operation : "\(operation): \(SystemError.words(for: errno))"
    }

    /// Returns the system's text for an error number.
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
