// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The directory under which the kernel's files are read: `/`, or a copy of a machine in tests.
///
/// Every read of the engine goes through here, so that all of observing can be tested on the
/// recorded files of another machine. It reads and never writes.
package struct SystemRoot: Equatable {
    /// The directory's path without a trailing slash; empty for the real root.
    package let prefix: String
    /// `/proc/iomem`, where somebody with more rights has opened it for this process.
    ///
    /// The kernel shows addresses by the rights of who opened the file (kernel/resource.c, `r_show`), so
    /// that a process without CAP_SYS_ADMIN can be given the addresses and nothing else.
    private let memoryMap: CInt?

    /// The largest file that is read, in bytes.
    ///
    /// The largest that the engine reads as a whole is `/proc/iomem`: 8192 ranges of 60 characters
    /// are half a MiB.
    private static let largestFile = 4 << 20
    /// The most bytes that one call reads.
    private static let largestRead = 64 << 10

    /// Creates a root at `directory`.
    package init(_ directory: String = "/", memoryMap: CInt? = nil) {
        var directory = Substring(directory)
        while directory.last == "/" { directory.removeLast() }
        prefix = String(directory)
        self.memoryMap = memoryMap
    }

    /// The real root, for a service whose standard input may be an open `/proc/iomem`.
    ///
    /// The corresponding C function is `readlink`.
    package static var ofService: SystemRoot {
        let isGiven = SystemRoot().link(at: "/proc/self/fd/\(STDIN_FILENO)") == iomem
        return SystemRoot(memoryMap: isGiven ? STDIN_FILENO : nil)
    }

    /// Where the kernel tells the memory map.
    package static let iomem = "/proc/iomem"

    /// Returns where `path`, absolute on the machine, lies under this root.
    package func path(_ path: String) -> String { prefix + path }

    /// Reads a whole small file.
    ///
    /// The corresponding C functions are `open` and `pread`, for files of debugfs `read`.
    /// - Throws: A `SystemError` of the call that failed; EFBIG for a file larger than 4 MiB.
    package func bytes(of file: String) throws(SystemError) -> [UInt8] {
        let place = path(file)
        if file == SystemRoot.iomem, let memoryMap {
            return try SystemRoot.bytes(of: memoryMap, called: place)
        }
        let descriptor = unsafe open(place, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open \(place)", errno: errno) }
        defer { close(descriptor) }
        return try SystemRoot.bytes(of: descriptor, called: place)
    }

    /// Reads an open file from its beginning.
    ///
    /// A memory map that is given has been read before. Files of debugfs cannot be read by `pread`
    /// (fs/open.c, `nonseekable_open`), but they have just been opened.
    private static func bytes(
        of descriptor: CInt, called place: String
    ) throws(SystemError) -> [UInt8] {
        var contents: [UInt8] = []
        // Nearly all files are one line, and a big machine has thousands of them. For longer ones
        // the buffer doubles with each read.
        var chunk = [UInt8](repeating: 0, count: 512)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                let count = unsafe pread(
                    descriptor, buffer.baseAddress, buffer.count, off_t(contents.count))
                guard count < 0 && errno == ESPIPE else { return count }
                return unsafe read(descriptor, buffer.baseAddress, buffer.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("read \(place)", errno: errno) }
            guard count > 0 else { return contents }
            contents += chunk[..<count]
            if count == chunk.count && count < SystemRoot.largestRead { chunk += chunk }
            guard contents.count <= SystemRoot.largestFile else {
                throw SystemError("read \(place)", errno: EFBIG)
            }
        }
    }

    /// Reads a whole small file as text; bytes that are not UTF-8 become replacement characters.
    ///
    /// - Throws: As `bytes(of:)`.
    package func text(of file: String) throws(SystemError) -> String {
        String(decoding: try bytes(of: file), as: UTF8.self)
    }

    /// Reads a whole small file, or returns `nil` if there is none.
    ///
    /// - Throws: As `bytes(of:)`, except that a file that is missing or goes meanwhile is no error.
    package func bytesIfPresent(of file: String) throws(SystemError) -> [UInt8]? {
        do throws(SystemError) {
            return try bytes(of: file)
        } catch  where error.isAbsence {
            return nil
        }
    }

    /// Reads the first line of the first of `files` that exists, or `nil` if none does.
    ///
    /// Several names are for files that kernels have moved.
    /// - Throws: As `bytesIfPresent(of:)`.
    package func line(of files: String...) throws(SystemError) -> Substring? {
        for file in files {
            guard let bytes = try bytesIfPresent(of: file) else { continue }
            return String(decoding: bytes, as: UTF8.self)
                .split(separator: "\n", omittingEmptySubsequences: false).first
        }
        return nil
    }
}
