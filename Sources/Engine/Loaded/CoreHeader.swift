// SPDX-License-Identifier: Apache-2.0

/// The header of an ELF64 core file: a capture kernel makes `/proc/vmcore` from one, and
/// `/proc/kcore` starts with one.
///
/// Decoding and encoding lose nothing, whoever made the header (the kernel's
/// `crash_prepare_elf64_headers`, kexec-tools): fields that have no name here are kept. What the
/// entries mean for a dump is `CoreDescription`'s business.
package struct CoreHeader: Hashable {
    /// One program header.
    package struct Entry: Hashable {
        /// The type of an entry, by the numbers of elf(5).
        package enum Kind: UInt32 {
            /// Memory: PT_LOAD.
            case memory = 1
            /// A note: PT_NOTE.
            case note = 4
        }

        /// The type as it is stored.
        package var type: UInt32
        /// The permissions.
        package var flags: UInt32
        /// Where its bytes are in the file; in a core header, their physical address.
        package var offset: UInt64
        /// The virtual address of its first byte.
        package var virtual: UInt64
        /// The physical address of its first byte.
        package var physical: UInt64
        /// How many bytes of it are in the file.
        package var fileSize: UInt64
        /// How many bytes it has in memory.
        package var memorySize: UInt64
        /// The alignment.
        package var alignment: UInt64

        /// The kind, if it matters here.
        package var kind: Kind? { Kind(rawValue: type) }
    }

    /// Why bytes are not such a header.
    package enum Flaw: Error, Equatable {
        /// They do not start like an ELF64 core file.
        case noCore
        /// They end before the header does.
        case short
    }

    /// The ELF header as it was read, but for the number of entries.
    private let identity: [UInt8]
    /// The program headers in their order.
    package var entries: [Entry]

    /// How many bytes the ELF header has.
    package static let fixedSize = 64
    /// How many bytes an entry has.
    package static let entrySize = 56
    /// The most entries; one more, PN_XNUM, means that the number is stored elsewhere.
    package static let mostEntries = 65_534

    /// How many bytes the header takes when it is encoded.
    package var byteCount: Int {
        CoreHeader.fixedSize + CoreHeader.entrySize * entries.count
    }

    /// Makes a header with `entries` for the architecture with a number (EM_… of elf.h).
    init(machine: UInt16, entries: [Entry]) {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        // ET_CORE; version 1; no entry, program headers behind this one, no sections, no flags.
        bytes.append(littleEndian: UInt16(4))
        bytes.append(littleEndian: machine)
        bytes.append(littleEndian: UInt32(1))
        for number in [0, UInt64(CoreHeader.fixedSize), 0] { bytes.append(littleEndian: number) }
        bytes.append(littleEndian: UInt32(0))
        for half in [CoreHeader.fixedSize, CoreHeader.entrySize, 0, 0, 0, 0] {
            bytes.append(littleEndian: UInt16(half))
        }
        identity = bytes
        self.entries = entries
    }

    /// Returns the size of a header in bytes, from its first 64 bytes.
    ///
    /// - Throws: The flaw of bytes that do not start a header.
    package static func byteCount(prefix: [UInt8]) throws(Flaw) -> Int {
        guard prefix.count >= fixedSize else { throw .short }
        // 64-bit, little-endian, version 1; the ABI byte may be anything.
        let beginning: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1]
        let core: UInt16 = 4
        guard prefix.starts(with: beginning), prefix.half(at: 16) == core,
            prefix.double(at: 32) == UInt64(fixedSize), prefix.half(at: 54) == UInt16(entrySize),
            let count = prefix.half(at: 56), Int(count) <= mostEntries
        else { throw .noCore }
        return fixedSize + entrySize * Int(count)
    }

    /// Decodes the header at the start of `bytes`.
    ///
    /// - Throws: The flaw of invalid bytes.
    package init(_ bytes: [UInt8]) throws(Flaw) {
        let size = try CoreHeader.byteCount(prefix: bytes)
        guard size <= bytes.count else { throw .short }
        identity = Array(bytes[..<CoreHeader.fixedSize])
        entries = []
        entries.reserveCapacity((size - CoreHeader.fixedSize) / CoreHeader.entrySize)
        for place in stride(from: CoreHeader.fixedSize, to: size, by: CoreHeader.entrySize) {
            guard let entry = Entry(bytes, at: place) else { throw .short }
            entries.append(entry)
        }
    }

    /// Encodes the header; a decoded one with the same entries gives the same bytes.
    package func encoded() -> [UInt8] {
        var bytes = Array(identity[..<56])
        bytes.append(littleEndian: UInt16(truncatingIfNeeded: entries.count))
        bytes += identity[58...]
        bytes.reserveCapacity(byteCount)
        for entry in entries { entry.append(to: &bytes) }
        return bytes
    }
}

extension CoreHeader.Entry {
    /// Reads the entry at `place`, or returns `nil` if the bytes end before it does.
    fileprivate init?(_ bytes: [UInt8], at place: Int) {
        guard let type = bytes.word(at: place), let flags = bytes.word(at: place + 4),
            let offset = bytes.double(at: place + 8), let virtual = bytes.double(at: place + 16),
            let physical = bytes.double(at: place + 24), let inFile = bytes.double(at: place + 32),
            let inMemory = bytes.double(at: place + 40), let align = bytes.double(at: place + 48)
        else { return nil }
        self.init(
            type: type, flags: flags, offset: offset, virtual: virtual, physical: physical,
            fileSize: inFile, memorySize: inMemory, alignment: align)
    }

    fileprivate func append(to bytes: inout [UInt8]) {
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: flags)
        for number in [offset, virtual, physical, fileSize, memorySize, alignment] {
            bytes.append(littleEndian: number)
        }
    }

    /// The physical addresses of the entry; empty if they would overflow.
    package var range: AddressRange {
        let (end, overflow) = physical.addingReportingOverflow(memorySize)
        return AddressRange(start: physical, end: overflow ? physical : end)
    }
}
