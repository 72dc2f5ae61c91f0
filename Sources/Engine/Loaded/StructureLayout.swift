// SPDX-License-Identifier: Apache-2.0

/// Where a member is in a structure, in bits, and how many it has.
struct Field: Hashable, Codable {
    /// The first bit, counted from the lowest of the first byte.
    let bitOffset: Int
    /// How many bits there are.
    let bitSize: Int

    /// The first byte of a field of whole bytes.
    var offset: Int { bitOffset / 8 }

    /// Returns the value of a field of at most 64 bits in the structure at the start of `bytes`, or
    /// `nil` if they are too short.
    func value(in bytes: [UInt8]) -> UInt64? {
        guard bitOffset >= 0, 1...64 ~= bitSize else { return nil }
        let first = bitOffset / 8
        let last = (bitOffset + bitSize - 1) / 8
        guard last < bytes.count else { return nil }
        // Nine bytes at most; the bits before the field and beyond 64 are shifted out.
        let shift = bitOffset % 8
        var value: UInt64 = 0
        for index in first...last {
            let position = (index - first) * 8 - shift
            let byte = UInt64(bytes[index])
            value |= position < 0 ? byte >> UInt64(-position) : byte << UInt64(position)
        }
        return bitSize == 64 ? value : value & (1 << UInt64(bitSize) - 1)
    }
}

/// The layout of a structure of the running kernel, from its type information.
struct StructureLayout {
    /// How many bytes it has.
    let size: Int
    private let types: BTF
    private let entry: BTF.Entry

    /// The most members that a search looks at, including those of anonymous members.
    ///
    /// The largest structure of a real kernel (`task_struct`) has about 300.
    private static let mostMembers = 20_000
    /// How deep anonymous members and chains of typedefs may be nested; C code has two or three
    /// levels.
    private static let deepest = 32

    /// Finds the structure called `name`, or returns `nil` if there is not exactly one.
    init?(_ name: String, in types: BTF) {
        let found = types.structures(named: name)
        guard found.count == 1, let entry = found.first else { return nil }
        self.init(entry, in: types)
    }

    private init(_ entry: BTF.Entry, in types: BTF) {
        self.entry = entry
        self.types = types
        size = Int(entry.sizeOrType)
    }

    /// Finds a member that is a number or a pointer, also inside anonymous members.
    func field(_ name: String) -> Field? {
        guard let (member, bitOffset) = member(name) else { return nil }
        if member.bitSize > 0 { return Field(bitOffset: bitOffset, bitSize: member.bitSize) }
        guard let type = resolved(member.type), let size = bitSize(of: type) else { return nil }
        return Field(bitOffset: bitOffset, bitSize: size)
    }

    /// Finds a member that is an array of structures: its offset, its count, and its element.
    func array(_ name: String) -> (offset: Int, count: Int, element: StructureLayout)? {
        guard let (member, bitOffset) = member(name), let type = resolved(member.type),
            let (elementType, count) = types.elements(of: type),
            let element = resolved(elementType), element.kind == .structure
        else { return nil }
        return (bitOffset / 8, count, StructureLayout(element, in: types))
    }

    private func member(_ name: String) -> (BTF.Member, bitOffset: Int)? {
        var budget = StructureLayout.mostMembers
        return search(entry, for: name, from: 0, depth: 0, budget: &budget)
    }

    private func search(
        _ entry: BTF.Entry, for name: String, from bitOffset: Int, depth: Int,
        budget: inout Int
    ) -> (BTF.Member, bitOffset: Int)? {
        guard depth < StructureLayout.deepest else { return nil }
        for index in 0..<entry.count {
            budget -= 1
            guard budget >= 0, let member = types.member(index, of: entry) else { return nil }
            let place = bitOffset + member.bitOffset
            if types.isString(at: member.name, name) { return (member, place) }
            guard types.isString(at: member.name, ""), let inner = resolved(member.type),
                inner.kind == .structure || inner.kind == .union
            else { continue }
            let found = search(inner, for: name, from: place, depth: depth + 1, budget: &budget)
            if let found { return found }
        }
        return nil
    }

    /// Follows typedefs and qualifiers to the type itself.
    private func resolved(_ number: UInt32) -> BTF.Entry? {
        var number = number
        for _ in 0..<StructureLayout.deepest {
            guard let entry = types.entry(number) else { return nil }
            switch entry.kind {
            case .alias, .const, .volatile, .restrict, .typeTag: number = entry.sizeOrType
            default: return entry
            }
        }
        return nil
    }

    /// The size of a number or a pointer, in bits.
    private func bitSize(of entry: BTF.Entry) -> Int? {
        switch entry.kind {
        case .pointer:
            // Every architecture with type information and kexec has 64 bits.
            64
        case .integer, .enumeration, .wideEnumeration:
            1...8 ~= entry.sizeOrType ? Int(entry.sizeOrType) * 8 : nil
        default:
            nil
        }
    }
}
