// SPDX-License-Identifier: Apache-2.0

/// The kernel's description of its types: where the members of a structure are.
///
/// `/sys/kernel/btf/vmlinux` holds it in the BPF Type Format (Documentation/bpf/btf.rst): a header,
/// a list of types of different lengths that refer to each other by index, and a string table. This
/// type understands only structures and what the sizes of their members depend on, and skips the
/// rest. So the layout of a kernel's structures is read and not tabulated by version. Any input is
/// safe: each step is bounded by the size of the input or by a constant.
struct BTF {
    /// Why bytes are not valid type information.
    struct Flaw: Error, Equatable {
        /// What is wrong, as the end of a sentence.
        let description: String
    }

    private let bytes: [UInt8]
    private let strings: Range<Int>
    /// The offset of each type; type 0, which is "void", has none.
    private let types: [UInt32]

    private static let headerSize = 24
    private static let typeSize = 12

    /// Reads type information and finds where each type begins.
    ///
    /// - Throws: The flaw of invalid bytes.
    init(btf bytes: [UInt8]) throws(Flaw) {
        // Lengths are 32 bits wide in the format, so positions fit into them as well.
        guard bytes.count <= Int(UInt32.max), bytes.half(at: 0) == 0xEB9F,
            let headerLength = bytes.word(at: 4), headerLength >= BTF.headerSize,
            let typeStart = bytes.word(at: 8), let typeLength = bytes.word(at: 12),
            let stringStart = bytes.word(at: 16), let stringLength = bytes.word(at: 20)
        else { throw Flaw(description: "does not start with a BTF header") }
        let list = BTF.section(after: headerLength, typeStart, typeLength)
        strings = BTF.section(after: headerLength, stringStart, stringLength)
        guard list.upperBound <= bytes.count, strings.upperBound <= bytes.count else {
            throw Flaw(description: "is shorter than its sections")
        }
        var types: [UInt32] = []
        // Kernels of today have a type for each 25 to 30 bytes.
        types.reserveCapacity(list.count / 24)
        var place = list.lowerBound
        while place < list.upperBound {
            guard let size = BTF.size(ofTypeAt: place, in: bytes),
                size <= list.upperBound - place
            else { throw Flaw(description: "has an unknown or truncated type") }
            types.append(UInt32(place))
            place += size
        }
        self.types = types
        self.bytes = bytes
    }

    private static func section(
        after header: UInt32, _ start: UInt32, _ length: UInt32
    ) -> Range<Int> {
        let first = Int(header) + Int(start)
        return first..<first + Int(length)
    }

    /// The kinds of types; the numbers are those of the format.
    enum Kind: UInt32 {
        case integer = 1, pointer, array, structure, union, enumeration, forward, alias, volatile
        case const, restrict, function, prototype, variable, section, float, declarationTag
        case typeTag, wideEnumeration
    }

    /// Returns how many bytes the type at `place` takes, with what follows its first three words.
    private static func size(ofTypeAt place: Int, in bytes: [UInt8]) -> Int? {
        guard let information = bytes.word(at: place + 4),
            let kind = Kind(rawValue: information >> 24 & 0x1F)
        else { return nil }
        let count = Int(information & 0xFFFF)
        return switch kind {
        case .integer, .variable, .declarationTag: typeSize + 4
        case .array: typeSize + 12
        case .structure, .union, .section, .wideEnumeration: typeSize + 12 * count
        case .enumeration, .prototype: typeSize + 8 * count
        case .pointer, .forward, .alias, .volatile, .const, .restrict, .function, .float, .typeTag:
            typeSize
        }
    }

    /// A type: its kind, its number of members, and a word that is its size or another type.
    struct Entry {
        let kind: Kind
        let count: Int
        /// Whether members' offsets carry the sizes of bit fields.
        let hasBitSizes: Bool
        let sizeOrType: UInt32
        let name: Int
        /// The offset of its members or other details.
        let details: Int
    }

    /// Returns the type with a number, or `nil` if there is none.
    func entry(_ number: UInt32) -> Entry? {
        // Type 0 is "void" and not in the list.
        guard number > 0, number <= types.count else { return nil }
        return entry(at: Int(types[Int(number) - 1]))
    }

    private func entry(at place: Int) -> Entry? {
        guard let name = bytes.word(at: place), let information = bytes.word(at: place + 4),
            let kind = Kind(rawValue: information >> 24 & 0x1F),
            let sizeOrType = bytes.word(at: place + 8)
        else { return nil }
        return Entry(
            kind: kind, count: Int(information & 0xFFFF), hasBitSizes: information >> 31 == 1,
            sizeOrType: sizeOrType, name: Int(name), details: place + BTF.typeSize)
    }

    /// Returns every structure called `name`.
    func structures(named name: String) -> [Entry] {
        types.compactMap { place in
            guard let entry = entry(at: Int(place)), entry.kind == .structure,
                isString(at: entry.name, name)
            else { return nil }
            return entry
        }
    }

    /// One member: the offset of its name, its type and its position in bits.
    struct Member {
        let name: Int
        let type: UInt32
        let bitOffset: Int
        /// The size in bits of a bit field; 0 for any other member.
        let bitSize: Int
    }

    /// Returns a structure's or a union's member by its index.
    func member(_ index: Int, of entry: Entry) -> Member? {
        let place = entry.details + 12 * index
        guard index < entry.count, let name = bytes.word(at: place),
            let type = bytes.word(at: place + 4), let offset = bytes.word(at: place + 8)
        else { return nil }
        return Member(
            name: Int(name), type: type,
            bitOffset: Int(entry.hasBitSizes ? offset & 0xFF_FFFF : offset),
            bitSize: entry.hasBitSizes ? Int(offset >> 24) : 0)
    }

    /// Returns an array's element type and its number of elements.
    func elements(of entry: Entry) -> (type: UInt32, count: Int)? {
        guard entry.kind == .array, let type = bytes.word(at: entry.details),
            let count = bytes.word(at: entry.details + 8)
        else { return nil }
        return (type, Int(count))
    }

    /// Whether the string at an offset of the string table is exactly `text`.
    func isString(at offset: Int, _ text: String) -> Bool {
        let start = strings.lowerBound + offset
        let end = start + text.utf8.count
        guard end < strings.upperBound, bytes[end] == 0 else { return false }
        return bytes[start..<end].elementsEqual(text.utf8)
    }
}
