// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Fills pages of a physical range with marks, in the memory of this process.
///
/// A process cannot ask for physical memory, only take more and look where it lies: new pages come
/// from movable memory first, which is where hot-added memory is. Pages elsewhere are kept until
/// the end, or the kernel would hand them out again, and then given back.
struct Marking {
    private static let chunk = 8 << 20
    /// Left to the rest of the guest, which must go on working until it is crashed.
    private static let reserve = 96 << 20

    let range: Range<UInt64>
    let nonce: UInt64

    init(inside range: Range<UInt64>, nonce: UInt64) {
        self.range = range
        self.nonce = nonce
    }

    func mark(atLeast count: Int) throws(ProbeError) -> [UInt64] {
        keepPagesInPlace()
        let map = try PageMap()
        var wanted: [UnsafeMutableRawPointer] = []
        var others: [UnsafeMutableRawPointer] = []
        while wanted.count < count, availableMemory() > Self.reserve {
            for page in try newPages() {
                let address = try map.physicalAddress(of: page)
                if range.contains(address) { wanted.append(page) } else { others.append(page) }
            }
        }
        giveBack(others)
        guard wanted.count >= count else { throw .tooFewPages(wanted.count) }
        return try fill(wanted, map)
    }

    /// Unmaps pages in as few calls as there are runs of them: after each call all processors forget
    /// translations of addresses, which under emulation can take milliseconds.
    private func giveBack(_ pages: [UnsafeMutableRawPointer]) {
        var rest = pages[...]
        while let first = rest.first {
            let run = rest.enumerated().prefix { $1 == first + $0 * MarkedPage.size }.count
            rest = rest.dropFirst(run)
            // The kernel's pages may be larger, and are kept if a part of them is.
            let start = Int(bitPattern: first), size = PageMap.pageSize
            let kept = (size - start % size) % size
            let whole = (run * MarkedPage.size - kept) / size * size
            if whole > 0 { munmap(first + kept, whole) }
        }
    }

    /// A page that moved between its look-up and its check is left out of the list.
    private func fill(
        _ pages: [UnsafeMutableRawPointer], _ map: PageMap
    ) throws(ProbeError) -> [UInt64] {
        var marked: [(page: UnsafeMutableRawPointer, address: UInt64)] = []
        for page in pages {
            let address = try map.physicalAddress(of: page)
            MarkedPage(address: address, nonce: nonce).fill(page)
            marked.append((page, address))
        }
        var addresses: [UInt64] = []
        for (page, address) in marked
        where try map.physicalAddress(of: page) == address && range.contains(address) {
            addresses.append(address)
        }
        return addresses
    }

    /// Locked memory can still be compacted unless this is said.
    private func keepPagesInPlace() {
        let file = open("/proc/sys/vm/compact_unevictable_allowed", O_WRONLY)
        guard file >= 0 else { return }
        write(file, "0", 1)
        close(file)
    }

    private func newPages() throws(ProbeError) -> [UnsafeMutableRawPointer] {
        let memory = mmap(
            nil, Self.chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else { throw .system("mmap", errno) }
        // A huge page would be split or collapsed later, which moves its parts.
        madvise(memory, Self.chunk, MADV_NOHUGEPAGE)
        guard mlock(memory, Self.chunk) == 0 else { throw .system("mlock", errno) }
        return stride(from: 0, to: Self.chunk, by: MarkedPage.size).map { memory + $0 }
    }

    private func availableMemory() -> Int {
        sysconf(CInt(_SC_AVPHYS_PAGES)) * PageMap.pageSize
    }
}
