// SPDX-License-Identifier: Apache-2.0

import Glibc

/// `/proc/vmcore` in the capture kernel: its headers as bytes, and its pages by physical address.
///
/// Knows just enough of ELF to find a page; what the headers mean is decoded outside the guest.
struct CoreFile {
    private struct Load {
        let memory: Range<UInt64>
        let offset: UInt64
    }

    /// The ELF header, the program headers and the notes: all that lies before the memory.
    let headers: [UInt8]
    private let file: CInt
    private let loads: [Load]

    init(_ path: String) throws(ProbeError) {
        file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system(path, errno) }
        let start = try Self.bytes(of: file, at: 0, count: 64)
        guard start[0...3].elementsEqual([0x7f, 0x45, 0x4c, 0x46]) else {
            throw .notCore("no ELF header")
        }
        let table = Self.word(start, at: 32)
        let count = Int(start[56]) | Int(start[57]) << 8
        let whole = try Self.bytes(of: file, at: 0, count: Int(table) + count * 56)
        var end = UInt64(whole.count)
        var loads: [Load] = []
        for header in stride(from: Int(table), to: whole.count, by: 56) {
            let offset = Self.word(whole, at: header + 8)
            let physical = Self.word(whole, at: header + 24)
            let size = Self.word(whole, at: header + 32)
            switch whole[header] {
            // The kernel's own address space is in /proc/kcore, too, at no physical address.
            case 1 where physical != .max:
                let (end, isBeyond) = physical.addingReportingOverflow(size)
                guard !isBeyond else { throw .notCore("a range ends beyond all addresses") }
                loads.append(Load(memory: physical..<end, offset: offset))
            case 4: end = max(end, offset + size)
            default: break
            }
        }
        self.loads = loads
        headers = try Self.bytes(of: file, at: 0, count: Int(end))
    }

    /// What reading a page of the dump can come to.
    enum Reading {
        case page
        /// In no program header.
        case absent
        /// In a program header, but the kernel could not read it.
        case unreadable(CInt)
    }

    func read(_ address: UInt64, into page: UnsafeMutableRawPointer) -> Reading {
        let end = address + UInt64(MarkedPage.size)
        guard
            let load = loads.first(where: {
                $0.memory.contains(address) && end <= $0.memory.upperBound
            })
        else { return .absent }
        let offset = load.offset + (address - load.memory.lowerBound)
        let count = pread(file, page, MarkedPage.size, Int(offset))
        guard count == MarkedPage.size else { return .unreadable(count < 0 ? errno : 0) }
        return .page
    }

    func close() { _ = Glibc.close(file) }

    private static func bytes(
        of file: CInt, at offset: Int, count: Int
    ) throws(ProbeError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes[done...].withUnsafeMutableBytes {
                pread(file, $0.baseAddress, $0.count, offset + done)
            }
            guard got > 0 else { throw .system("vmcore headers", got < 0 ? errno : 0) }
            done += got
        }
        return bytes
    }

    private static func word(_ bytes: [UInt8], at offset: Int) -> UInt64 {
        (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * $1) }
    }
}
