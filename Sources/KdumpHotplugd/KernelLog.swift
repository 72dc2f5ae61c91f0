// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The kernel log, watched for messages of one topic.
final class KernelLog {
    /// What a message is about.
    enum Topic {
        /// The kernel's own updates of the image.
        ///
        /// A kernel that updates the image itself gives up when the kexec lock is held or the core
        /// header is too small, and reports that only here, with the prefix "crash hp:"
        /// (kernel/crash_core.c). Like a uevent, such a message is only a hint to look.
        case image
        /// That the kernel may be crashing: what it says as an emergency or an alert, as a panic and
        /// the beginning of an oops are.
        case alarm
    }

    /// The descriptor that is readable when there is something to ``drain()``.
    let fd: CInt

    private let topic: Topic
    /// The longest record of the kernel, in bytes (kernel/printk/internal.h,
    /// PRINTK_MESSAGE_MAX); a smaller buffer gets EINVAL.
    private static let longestRecord = 2_048

    /// Opens the log at its end.
    ///
    /// The corresponding C functions are `open` and `lseek`.
    /// - Throws: A `SystemError` if the log cannot be read.
    init(of topic: Topic) throws(SystemError) {
        self.topic = topic
        fd = unsafe open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard fd >= 0 else { throw SystemError("open /dev/kmsg", errno: errno) }
        lseek(fd, 0, SEEK_END)
    }

    deinit { close(fd) }

    /// Reads all new records, and returns whether any of them is of the topic.
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
                found = found || topic.matches(record[..<count])
            } else if count < 0 && (errno == EPIPE || errno == EINTR) {
                // EPIPE: records were overwritten before they were read. One of them may have been about
                // the image; an alarm that is so old is over.
                found = found || errno == EPIPE && topic == .image
            } else {
                return found
            }
        }
    }

}

extension KernelLog.Topic {
    /// The prefix of the kernel's crash hotplug code (`pr_fmt` of kernel/crash_core.c).
    private static let prefix = Array("crash hp:".utf8)
    /// The levels "emergency" and "alert", of the kernel's own messages: the number also has the
    /// facility, which is 0 for the kernel and nobody else (Documentation/ABI/testing/dev-kmsg).
    private static let alarms = 0...1

    /// Whether a record is of this topic: a number, and more of them, and after a semicolon its text.
    func matches(_ record: ArraySlice<UInt8>) -> Bool {
        guard let semicolon = record.firstIndex(of: UInt8(ascii: ";")) else { return false }
        switch self {
        case .image:
            return record[(semicolon + 1)...].starts(with: Self.prefix)
        case .alarm:
            let number = record.prefix { $0 != UInt8(ascii: ",") }
            return Int(String(decoding: number, as: UTF8.self)).map(Self.alarms.contains) ?? false
        }
    }
}
