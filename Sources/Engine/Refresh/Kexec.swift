// SPDX-License-Identifier: Apache-2.0

internal import CKexec
internal import Glibc

/// The system calls that change what is loaded: the only file that can do harm.
///
/// Each call is timed, because the kexec lock is held for nearly all of it and a panic in that time
/// gets no dump (kernel/crash_core.c, `__crash_kexec`): the unprotected time is at most the
/// duration of the call. Nothing here decides or retries.
enum Kexec {
    /// How a load ended, and how long the system call took in microseconds.
    struct Attempt: Equatable {
        /// The error number, 0 for success.
        let errno: CInt
        /// The duration of the system call in microseconds.
        let microseconds: UInt64
        /// What went wrong, if that was no system call of ours.
        var cause: SystemError?
    }

    /// Asks the kernel whether it would load files at all, without touching the crash image; returns
    /// the error number, 0 where it would.
    ///
    /// It loads the files as the kernel to reboot into, which makes the same checks, signature and
    /// policies included, and unloads them again. No such kernel may be loaded before.
    ///
    /// The corresponding C function is `kexec_file_load`, without KEXEC_FILE_ON_CRASH.
    static func rehearse(kernel: CInt, initrd: CInt?) -> CInt {
        let load = initrd == nil ? UInt(KEXEC_FILE_NO_INITRAMFS) : 0
        let refusal = unsafe -ckexec_file_load(kernel, initrd ?? -1, 1, "", load)
        guard refusal == 0 else { return refusal }
        // It must not stay: a reboot could take it. Whoever has the lock has it for seconds.
        for _ in 0..<1_000 {
            let error = unsafe -ckexec_file_load(-1, -1, 1, "", UInt(KEXEC_FILE_UNLOAD))
            guard error == EBUSY else { return error }
            usleep(10_000)
        }
        return EBUSY
    }

    /// Loads a crash kernel from files over the one that is loaded; never unloads first.
    ///
    /// The corresponding C function is `kexec_file_load`, with KEXEC_FILE_ON_CRASH.
    static func loadFile(
        kernel: CInt, initrd: CInt?, commandLine: String
    ) -> Attempt {
        var flags = UInt(KEXEC_FILE_ON_CRASH)
        if initrd == nil { flags |= UInt(KEXEC_FILE_NO_INITRAMFS) }
        let start = MonotonicClock.microseconds()
        let result = unsafe ckexec_file_load(
            kernel, initrd ?? -1, commandLine.utf8.count + 1, commandLine, flags)
        return Attempt(errno: -result, microseconds: MonotonicClock.microseconds() - start)
    }

    /// A range of memory that a load writes.
    struct Segment {
        /// What is written; zeros follow up to the end of `range`.
        let bytes: PinnedBytes
        /// The physical addresses.
        let range: AddressRange
    }

    /// Loads segments of a crash kernel; the rest of reserved memory is not touched.
    ///
    /// Each of `flags` is tried in turn, as long as the kernel refuses it as unknown and another try
    /// `mayHelp`.
    static func loadSegments(
        _ segments: [Segment], entry: UInt64, flags: [UInt], on architecture: Architecture,
        where mayHelp: () -> Bool = { true }
    ) -> Attempt {
        var flags = flags[...]
        while true {
            let attempt = loadSegments(
                segments, entry: entry, flags: flags.popFirst() ?? 0, on: architecture)
            guard attempt.errno == EINVAL, !flags.isEmpty, mayHelp() else { return attempt }
        }
    }

    /// Loads segments with one value of flags, added to KEXEC_ON_CRASH and the number of the
    /// architecture.
    ///
    /// The corresponding C function is `kexec_load`.
    private static func loadSegments(
        _ segments: [Segment], entry: UInt64, flags: UInt, on architecture: Architecture
    ) -> Attempt {
        let flags = UInt(KEXEC_ON_CRASH) | UInt(architecture.number) << 16 | flags
        let list = unsafe segments.map { segment in
            unsafe kexec_segment(
                buf: UnsafeRawPointer(segment.bytes.address), bufsz: UInt(segment.bytes.count),
                mem: UnsafeRawPointer(bitPattern: UInt(segment.range.start)),
                memsz: UInt(segment.range.byteCount))
        }
        // The buffers must live until the call ends, and only `segments` keeps them alive.
        return withExtendedLifetime(segments) {
            let start = MonotonicClock.microseconds()
            let result = unsafe ckexec_load(
                UInt(entry), UInt(list.count), list, flags)
            return Attempt(errno: -result, microseconds: MonotonicClock.microseconds() - start)
        }
    }
}
