// SPDX-License-Identifier: Apache-2.0

/// What reserved memory of a guest holds, read from outside: neither the guest's kernel nor the code
/// under test is asked.
extension Machine {
    /// The memory that the one core header in the first MiB of a physical range lists, above the
    /// machine's own first MiB.
    ///
    /// The kernel's own loader puts the header into the first MiB of reserved memory, kexec-tools
    /// behind everything else. Only for guests that share their memory.
    package func memoryInCoreHeader(
        in place: Range<UInt64>
    ) throws(GuestError) -> [Range<UInt64>] {
        let bytes = try memory(at: place.lowerBound, count: min(1 << 20, place.count))
        // An ELF64 file of the type core, little endian (elf(5)).
        let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]
        let pages = stride(from: 0, to: bytes.count, by: 4096).filter { page in
            bytes[page..<page + 7].elementsEqual(magic) && bytes[page + 16] == 4
        }
        guard pages.count == 1, let page = pages.first else {
            throw .garbled("\(pages.count) core headers in \(place.count) bytes of reserved memory")
        }
        return try Vmcore.segments(in: Array(bytes[page...])).memory.aboveLegacy
    }
}
