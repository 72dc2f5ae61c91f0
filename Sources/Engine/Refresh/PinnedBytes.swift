// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Bytes that are in memory and stay there, on pages of their own.
///
/// The kernel copies them while the machine is unprotected, and page faults would make that time
/// longer.
@safe final class PinnedBytes {
    /// Where they are.
    let address: UnsafeMutableRawPointer
    /// How many there are.
    let count: Int

    /// Allocates `count` zeros, or returns `nil` if there is not enough memory.
    ///
    /// The corresponding C functions are `mmap`, with MAP_POPULATE, and `mlock`.
    init?(count: Int) {
        let pages = unsafe mmap(
            nil, max(count, 1), PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | CInt(MAP_POPULATE), -1, 0)
        guard let pages = unsafe pages, unsafe pages != MAP_FAILED else { return nil }
        unsafe address = pages
        self.count = count
        // A whole image may exceed the limit for locked memory. Its pages are present, which is
        // nearly as good.
        _ = unsafe mlock(pages, max(count, 1))
    }

    deinit { unsafe munmap(address, max(count, 1)) }

    /// Holds a copy of `bytes`.
    convenience init?(_ bytes: [UInt8]) {
        self.init(count: bytes.count)
        replace(at: 0, with: bytes)
    }

    /// A copy of `count` of them at `offset`; none where there are not so many.
    func bytes(_ count: Int, at offset: Int) -> [UInt8] {
        guard offset >= 0, count >= 0, offset <= self.count - count else { return [] }
        return unsafe Array(UnsafeRawBufferPointer(start: address + offset, count: count))
    }

    /// A copy of them.
    var contents: [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: address, count: count))
    }

    /// Writes `bytes` at `offset`; what does not fit is left out.
    func replace(at offset: Int, with bytes: [UInt8]) {
        guard offset >= 0, offset <= count else { return }
        let rest = unsafe UnsafeMutableRawBufferPointer(
            start: address + offset, count: min(bytes.count, count - offset))
        unsafe rest.copyBytes(from: bytes.prefix(rest.count))
    }
}
