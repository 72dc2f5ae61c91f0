// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A kernel file that is too large, or changes too fast, to be read at once.
///
/// It stays open as long as the object lives, is read at given offsets and counts the bytes read.
final class KernelFile {
    /// The error number EPERM: not permitted.
    static let notPermitted = EPERM
    /// The error number ENOENT: does not exist.
    static let notThere = ENOENT

    private let descriptor: CInt
    private let path: String
    /// How many bytes have been read.
    private(set) var byteCount: UInt64 = 0

    /// Opens `file` below `root` for reading.
    ///
    /// The corresponding C function is `open`.
    /// - Throws: A `SystemError` of the call.
    init(_ file: String, below root: SystemRoot) throws(SystemError) {
        path = root.path(file)
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open \(path)", errno: errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes were read.
    ///
    /// The corresponding C function is `pread`.
    /// - Throws: A `SystemError` of the call; EOVERFLOW for an offset that no file can have.
    func read(into buffer: inout [UInt8], at offset: UInt64) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            guard let place = off_t(exactly: offset &+ UInt64(done)), place >= 0 else {
                throw SystemError("read \(path)", errno: EOVERFLOW)
            }
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
                return unsafe pread(descriptor, rest.baseAddress, rest.count, place)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("read \(path)", errno: errno) }
            guard count > 0 else { break }
            done += count
        }
        byteCount += UInt64(done)
        return done
    }

    /// Reads the whole file, if it has no more than `limit` bytes.
    ///
    /// The corresponding C functions are `fstat` and `pread`.
    /// - Throws: As `read(into:at:)`; EFBIG for a larger file.
    func contents(atMost limit: Int) throws(SystemError) -> [UInt8] {
        // Most files know their size, so the buffer need not grow; the others say 0.
        var status = stat()
        let known = unsafe fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        guard known <= limit else { throw SystemError("read \(path)", errno: EFBIG) }
        var contents = [UInt8](repeating: 0, count: max(known, 0))
        contents.removeLast(contents.count - (try read(into: &contents, at: 0)))
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = try read(into: &chunk, at: UInt64(contents.count)), count > 0 {
            contents += chunk[..<count]
            guard contents.count <= limit else {
                throw SystemError("read \(path)", errno: EFBIG)
            }
        }
        return contents
    }
}
