// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where the pages of this process lie in physical memory, from `/proc/self/pagemap`.
///
/// Needs CAP_SYS_ADMIN: without it the kernel shows every page at address 0.
struct PageMap {
    private static let present: UInt64 = 1 << 63
    private static let frameMask: UInt64 = (1 << 55) - 1

    /// The kernel's pages, in bytes: on POWER each may hold several marked ones.
    static let pageSize = sysconf(CInt(_SC_PAGESIZE))

    private let file: CInt

    init() throws(ProbeError) {
        file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system("pagemap", errno) }
    }

    func physicalAddress(of page: UnsafeMutableRawPointer) throws(ProbeError) -> UInt64 {
        var entry: UInt64 = 0
        let (number, rest) = Int(bitPattern: page).quotientAndRemainder(dividingBy: Self.pageSize)
        guard pread(file, &entry, 8, number * 8) == 8 else { throw .system("pagemap", errno) }
        guard entry & Self.present != 0 else { throw .system("pagemap: page is absent", 0) }
        return (entry & Self.frameMask) * UInt64(Self.pageSize) + UInt64(rest)
    }
}
