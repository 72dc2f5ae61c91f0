// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The kernel log, watched for messages about the kernel's own updates of the image.
///
/// A kernel that updates the image itself gives up when the kexec lock is held or the core header
/// is too small, and reports that only here, with the prefix "crash hp:" (kernel/crash_core.c).
/// Like a uevent, such a message is only a hint to look.
final class KernelLog {
    /// The descriptor that is readable when there is something to ``drain()``.
    let fd: CInt

    /// The prefix of the kernel's crash hotplug code (`pr_fmt` of kernel/crash_core.c).
    private static let prefix = Array("crash hp:".utf8)
    /// The longest record of the kernel, in bytes (kernel/printk/internal.h,
    /// PRINTK_MESSAGE_MAX); a smaller buffer gets EINVAL.
    private static let longestRecord = 2_048

    /// Opens the log at its end.
    ///
    /// The corresponding C functions are `open` and `lseek`.
    /// - Throws: A `SystemError` if the log cannot be read.
    init() throws(SystemError) {
        fd = unsafe open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard fd >= 0 else { throw SystemError("open /dev/kmsg", errno: errno) }
        lseek(fd, 0, SEEK_END)
    }

    deinit { close(fd) }

    /// Reads all new records, and returns whether any of them is about the crash image.
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
                found = found || KernelLog.isAboutImage(record[..<count])
            } else if count < 0 && (errno == EPIPE || errno == EINTR) {
                // EPIPE: records were overwritten before they were read, maybe one of these.
                found = found || errno == EPIPE
            } else {
                return found
            }
        }
    }

    /// Whether a record is such a message; its text follows the first semicolon.
    static func isAboutImage(_ record: ArraySlice<UInt8>) -> Bool {
        guard let semicolon = record.firstIndex(of: UInt8(ascii: ";")) else { return false }
        return record[(semicolon + 1)...].starts(with: prefix)
    }
}
