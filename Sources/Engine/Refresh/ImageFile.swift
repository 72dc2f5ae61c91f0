// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A kernel or initrd file, open and ready to be passed to `kexec_file_load`.
///
/// It checks in advance what would otherwise make a load fail or take longer once the old image is
/// gone: that the file exists, is regular and not empty, is in memory and is not being written. It
/// does not judge its contents.
package final class ImageFile {
    /// What the file is for.
    package enum Role: String {
        /// The kernel image.
        case kernel
        /// The initial RAM disk.
        case initrd
    }

    /// What tells a file and its contents from others, as far as the file system does.
    struct Identity: Hashable, Codable {
        let device: UInt64
        let inode: UInt64
        let size: UInt64
        /// When the contents changed last, and when anything did, signatures in attributes included:
        /// in nanoseconds since 1970.
        let modified: Int64
        let changed: Int64

        /// Reads it from what stat(2) says.
        fileprivate init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = UInt64(max(0, status.st_size))
            modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
            changed = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
        }
    }

    /// The open file.
    let descriptor: CInt
    /// Which file it is.
    let identity: Identity
    /// How many bytes it holds.
    let size: UInt64
    private let role: Role
    /// Its path.
    let path: String

    /// F_SETLEASE of the kernel's include/uapi/linux/fcntl.h, which glibc shows to GNU programs
    /// only.
    private static let setLease: CInt = 1024

    /// Opens a file and makes sure that it is regular and not empty.
    ///
    /// The corresponding C functions are `open` and `fstat`.
    /// - Throws: An obstacle if the file cannot be opened, is not regular or is empty.
    init(_ role: Role, at path: String) throws(Obstacle) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw .unreadable(role, path: path, because: SystemError.words(for: errno))
        }
        self.descriptor = descriptor
        self.role = role
        self.path = path
        var status = stat()
        let found = unsafe fstat(descriptor, &status) == 0
        // Everything is initialised now, so after a throw deinit closes the file.
        size = found ? UInt64(max(0, status.st_size)) : 0
        identity = Identity(status)
        guard found, status.st_mode & S_IFMT == S_IFREG else {
            throw .notAFile(role, path: path)
        }
        guard size > 0 else { throw .empty(role, path: path) }
    }

    deinit { close(descriptor) }

    /// Reads the bytes at `offset`, fewer where the file ends before.
    ///
    /// - Throws: An obstacle if the file cannot be read.
    func bytes(_ count: Int, at offset: UInt64 = 0) throws(Obstacle) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = try read(into: &bytes, at: offset)
        return Array(bytes[..<read])
    }

    /// Copies the whole file, so that nobody can change or cut what is going to be loaded.
    ///
    /// - Throws: An obstacle if the file cannot be read, or if there is not enough memory.
    func contents() throws(Obstacle) -> PinnedBytes {
        guard let bytes = PinnedBytes(count: Int(size)) else { throw Obstacle.noMemory }
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        var offset: UInt64 = 0
        while offset < size {
            let count = try read(into: &chunk, at: offset)
            bytes.replace(at: Int(offset), with: Array(chunk[..<count]))
            offset += UInt64(count)
        }
        return bytes
    }

    /// Keeps writers out and reads the whole file into the page cache, as long as the file is open.
    ///
    /// A writer would make the load fail with ETXTBSY (fs/kernel_read_file.c), and a slow disk
    /// would make it take longer, both while the machine is unprotected. If the file system has
    /// leases, a read lease makes a later writer wait; the process must ignore the SIGIO that
    /// announces one.
    ///
    /// The corresponding C functions are `fcntl`, with F_SETLEASE, and `pread`.
    /// `onProgress` is called after each MiB, because a disk may be slow.
    /// - Throws: An obstacle if the file is being written or cannot be read.
    func hold(onProgress: () -> Void) throws(Obstacle) {
        // Errors other than EAGAIN mean that this file system has no leases or that another user
        // owns the file: then the load does without a lease, like everybody else's.
        if fcntl(descriptor, ImageFile.setLease, F_RDLCK) != 0 && errno == EAGAIN {
            throw .beingWritten(role, path: path)
        }
        // One MiB: few calls, and little memory of our own.
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        var offset: UInt64 = 0
        while offset < size {
            offset += UInt64(try read(into: &chunk, at: offset))
            onProgress()
        }
    }

    /// Reads at least one byte.
    private func read(into buffer: inout [UInt8], at offset: UInt64) throws(Obstacle) -> Int {
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { buffer in
                unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            }
            if count > 0 { return count }
            if count < 0 && errno == EINTR { continue }
            let reason = count == 0 ? "it shrank" : SystemError.words(for: errno)
            throw .unreadable(role, path: path, because: reason)
        }
    }
}
