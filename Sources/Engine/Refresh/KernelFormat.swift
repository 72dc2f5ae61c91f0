// SPDX-License-Identifier: Apache-2.0

/// What the first bytes of a kernel file say of it: whether it is one, and what it needs.
///
/// Only what `kexec_file_load` would find out after it has dropped the old image is looked at here;
/// all else is the kernel's business. It parses bytes it is given and reads no file.
package struct KernelFormat: Equatable {
    /// How many bytes of a file are enough to know its format: x86's setup header and a PE header
    /// both end within the first page.
    package static let prefixSize = 4096

    /// The memory the kernel needs before it frees anything, in bytes; 0 where the format is silent.
    package let memory: UInt64
    /// How many bytes of command line it takes; `nil` where the format is silent.
    package let commandLineLimit: Int?
    /// Whether the file carries a signature (of whatever key).
    package let isSigned: Bool

    /// Reads a format from a file's first bytes, or returns `nil` where they begin no kernel that
    /// `architecture` can load.
    package init?(prefix: [UInt8], for architecture: Architecture) {
        let bytes = LittleEndian(prefix)
        switch architecture {
        case .x86:
            guard let kernel = KernelFormat.bzImage(bytes) else { return nil }
            (memory, commandLineLimit) = (kernel.memory, kernel.commandLineLimit)
        case .arm:
            // Documentation/arch/arm64/booting.rst: "ARM\x64" at 56, image_size at 16.
            guard bytes.word(at: 56) == 0x644D_5241 else { return nil }
            (memory, commandLineLimit) = (bytes.double(at: 16) ?? 0, nil)
        case .power:
            // An ELF64 little-endian vmlinux for EM_PPC64 (elf.h).
            guard bytes.word(at: 0) == 0x464C_457F, bytes.half(at: 4) == 0x0102,
                bytes.half(at: 18) == 21
            else { return nil }
            (memory, commandLineLimit) = (0, nil)
        case .z, .other:
            guard !prefix.isEmpty else { return nil }
            (memory, commandLineLimit) = (0, nil)
        }
        isSigned = KernelFormat.hasSignature(bytes)
    }

    /// x86's boot protocol, by the rules of arch/x86/kernel/kexec-bzimage64.c, `bzImage64_probe`.
    private static func bzImage(_ bytes: LittleEndian) -> (memory: UInt64, commandLineLimit: Int)? {
        let headerMagic: UInt32 = 0x5372_6448  // "HdrS"
        let firstVersionWithLoadFlags: UInt16 = 0x020C
        let kernel64AndAbove4G: UInt16 = 0b11
        guard bytes.half(at: 0x1FE) == 0xAA55, bytes.word(at: 0x202) == headerMagic,
            let version = bytes.half(at: 0x206), version >= firstVersionWithLoadFlags,
            let flags = bytes.half(at: 0x236),
            flags & kernel64AndAbove4G == kernel64AndAbove4G,
            let limit = bytes.word(at: 0x238), let memory = bytes.word(at: 0x260)
        else { return nil }
        // The kernel puts "elfcorehdr=0x… " before it: MAX_ELFCOREHDR_STR_LEN is 30, NUL included.
        return (UInt64(memory), max(0, Int(limit) - 30))
    }

    /// Whether a PE file's certificate table (data directory 4) holds anything.
    private static func hasSignature(_ bytes: LittleEndian) -> Bool {
        guard bytes.half(at: 0) == 0x5A4D, let header = bytes.word(at: 0x3C),
            bytes.word(at: Int(header)) == 0x0000_4550
        else { return false }
        let optionalHeader = Int(header) + 24
        guard bytes.half(at: optionalHeader) == 0x020B else { return false }
        return (bytes.word(at: optionalHeader + 112 + 4 * 8 + 4) ?? 0) > 0
    }
}

/// Numbers at byte offsets of a buffer, `nil` beyond its end.
private struct LittleEndian {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func half(at offset: Int) -> UInt16? { number(at: offset, size: 2).map { UInt16($0) } }
    func word(at offset: Int) -> UInt32? { number(at: offset, size: 4).map { UInt32($0) } }
    func double(at offset: Int) -> UInt64? { number(at: offset, size: 8) }

    private func number(at offset: Int, size: Int) -> UInt64? {
        guard offset >= 0, offset <= bytes.count - size else { return nil }
        return bytes[offset..<offset + size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
