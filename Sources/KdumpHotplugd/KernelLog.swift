// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The kernel's own messages, read for those in which it admits that it did not keep an image up.
///
/// A kernel that updates the image by itself gives up when the kexec lock is held or the core header
/// is too small, and says so only here, with the prefix "crash hp:" (kernel/crash_core.c). Like a
/// uevent, such a message is a hint to look and nothing more.
final class KernelLog {
    /// The descriptor that is readable when there is something to ``drain()``.
    let fd: CInt

    /// How the kernel's crash hotplug code begins its messages (`pr_fmt` of kernel/crash_core.c).
    private static let sign = Array("crash hp:".utf8)
    /// The longest record that the kernel gives, in bytes (kernel/printk/internal.h,
    /// PRINTK_MESSAGE_MAX); a smaller buffer gets EINVAL.
    private static let longestRecord = 2_048

    /// Opens the log at its end.
    ///
    /// The corresponding C functions are `open` and `lseek`.
    /// - Throws: A `SystemError` where it cannot be read; then those messages go unnoticed.
    init() throws(SystemError) {
        fd = unsafe open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard fd >= 0 else { throw SystemError("open /dev/kmsg", errno: errno) }
        lseek(fd, 0, SEEK_END)
    }

    deinit { close(fd) }

    /// Reads everything that has come, and returns whether any of it is about the crash image.
    ///
    /// The corresponding C function is `read`; each call gives one record.
    func drain() -> Bool {
        var found = false
        var record = [UInt8](repeating: 0, count: KernelLog.longestRecord)
        while true {
            let count = unsafe record.withUnsafeMutableBytes { record in
                unsafe read(fd, record.baseAddress, record.count)
            }
            if count > 0 {
                found = found || KernelLog.isAdmission(record[..<count])
            } else if count < 0 && (errno == EPIPE || errno == EINTR) {
                // EPIPE: records were overwritten before they were read, one of ours perhaps.
                found = found || errno == EPIPE
            } else {
                return found
            }
        }
    }

    /// Whether a record is one of those messages; its text follows the first semicolon.
    static func isAdmission(_ record: ArraySlice<UInt8>) -> Bool {
        guard let semicolon = record.firstIndex(of: UInt8(ascii: ";")) else { return false }
        return record[(semicolon + 1)...].starts(with: sign)
    }
}
