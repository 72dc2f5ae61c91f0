// SPDX-License-Identifier: Apache-2.0

/// The dump of a crashed guest, as the kernel that captured it shows it in `/proc/vmcore`.
///
/// Decoded from the raw headers by itself, not by the code under test: both would share a mistake.
package struct Vmcore: Sendable {
    /// One program header.
    package struct Segment: Sendable {
        package let type: UInt32
        package let offset: UInt64
        package let virtualAddress: UInt64
        package let physicalAddress: UInt64
        package let fileSize: UInt64
        package let memorySize: UInt64
    }

    /// The ELF header, program headers and notes, byte for byte.
    package let headers: [UInt8]
    /// All program headers, in their order.
    package let segments: [Segment]
    /// How many CPUs left their registers: one NT_PRSTATUS each.
    package let processors: Int
    /// What became of the marked pages, if there were any.
    package let marks: MarkReport
    /// The time from the crash until the last of this was known.
    package let captureTime: Duration

    init(headers: [UInt8], marks: MarkReport, captureTime: Duration) throws(GuestError) {
        self.headers = headers
        self.marks = marks
        self.captureTime = captureTime
        segments = try Self.segments(in: headers)
        let elf = Bytes(headers)
        var processors = 0
        for notes in segments where notes.type == 4 { processors += try elf.processors(notes) }
        self.processors = processors
    }

    /// The program headers of an ELF core, which may have more behind them.
    static func segments(in headers: [UInt8]) throws(GuestError) -> [Segment] {
        let elf = Bytes(headers)
        let table = try elf.integer(at: 32, as: UInt64.self)
        var segments: [Segment] = []
        for index in 0..<UInt64(try elf.integer(at: 56, as: UInt16.self)) {
            let start = Int(table + index * 56)
            segments.append(
                Segment(
                    type: try elf.integer(at: start, as: UInt32.self),
                    offset: try elf.integer(at: start + 8, as: UInt64.self),
                    virtualAddress: try elf.integer(at: start + 16, as: UInt64.self),
                    physicalAddress: try elf.integer(at: start + 24, as: UInt64.self),
                    fileSize: try elf.integer(at: start + 32, as: UInt64.self),
                    memorySize: try elf.integer(at: start + 40, as: UInt64.self)))
        }
        return segments
    }

    /// The physical ranges of memory that the dump has, adjacent ones joined.
    package var memory: [Range<UInt64>] {
        segments.memory
    }

    /// Whether all of a physical range is in the dump.
    package func covers(_ range: Range<UInt64>) -> Bool {
        memory.contains { $0.contains(range) }
    }

    /// Whether any of a physical range is in the dump.
    package func touches(_ range: Range<UInt64>) -> Bool {
        memory.contains { $0.overlaps(range) }
    }
}

extension [Vmcore.Segment] {
    /// The physical ranges of memory among them, adjacent ones joined.
    var memory: [Range<UInt64>] {
        filter { $0.type == 1 }
            .map { $0.physicalAddress..<$0.physicalAddress + $0.memorySize }
            .joined
    }
}

/// Bytes of an ELF file, read without trusting any offset in them.
private struct Bytes {
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func integer<Number: FixedWidthInteger>(
        at offset: Int, as type: Number.Type
    ) throws(GuestError) -> Number {
        let size = MemoryLayout<Number>.size
        guard offset >= 0, offset + size <= bytes.count else {
            throw .garbled("vmcore headers end before offset \(offset)")
        }
        return bytes[offset..<offset + size].reversed().reduce(0) { $0 << 8 | Number($1) }
    }

    /// The number of NT_PRSTATUS (type 1) notes in a PT_NOTE segment.
    func processors(_ notes: Vmcore.Segment) throws(GuestError) -> Int {
        var count = 0
        var offset = Int(notes.offset)
        let end = offset + Int(notes.fileSize)
        while offset + 12 <= end {
            let name = Int(try integer(at: offset, as: UInt32.self))
            let description = Int(try integer(at: offset + 4, as: UInt32.self))
            let type = try integer(at: offset + 8, as: UInt32.self)
            if type == 1, name == 5 { count += 1 }
            guard name > 0 || description > 0 else { break }
            offset += 12 + (name + 3) / 4 * 4 + (description + 3) / 4 * 4
        }
        return count
    }
}
