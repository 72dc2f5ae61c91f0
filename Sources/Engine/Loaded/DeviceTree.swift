// SPDX-License-Identifier: Apache-2.0

/// A flattened device tree: what firmware, or the loader of a crash image, tells a kernel of its
/// machine (Devicetree Specification 0.4, chapter 5).
///
/// This type only parses, and ``encoded(in:)`` writes; what nodes mean is an architecture's business.
/// All numbers in a tree are big-endian. The bytes come from memory and may be anything, so everything
/// is bounded by their number, and by how deep nodes lie in each other.
struct DeviceTree: Hashable {
    /// What a node says.
    struct Property: Hashable {
        let name: String
        let value: [UInt8]
        /// Where the value begins in the tree that it was read from, in bytes; 0 in one that is new.
        var place = 0
    }

    /// A node with everything below it.
    struct Node: Hashable {
        let name: String
        var properties: [Property] = []
        var children: [Node] = []

        /// The value of the property `name`; `nil` if there is none.
        subscript(_ name: String) -> Property? { properties.first { $0.name == name } }
    }

    /// Why bytes are no tree.
    enum Flaw: Error, Equatable {
        /// They do not start like one, or like one of another version.
        case noTree
        /// They end before the tree does.
        case short
        /// The tree is damaged at this offset in bytes.
        case malformed(at: Int)
    }

    /// The node without a name that holds all others.
    var root: Node
    /// The memory that the kernel must not use before it knows what is there, in the tree's order.
    var reservations: [AddressRange]
    /// The CPU that the kernel begins on, as the firmware numbers it.
    let bootProcessor: UInt32

    /// How many bytes say how large a tree is, and the rest of its header.
    static let headerSize = 40
    /// The deepest that nodes may lie in each other: real ones lie six deep.
    static let deepest = 64
    /// The longest name, in bytes: real ones have up to fifty.
    static let longestName = 255

    /// Returns the size of the tree that starts with `prefix`, in bytes, or `nil` if none does.
    ///
    /// The layout has been the same since version 16, which is from 2005. A tree of a later version
    /// says that it can be read as one.
    static func byteCount(prefix: [UInt8]) -> Int? {
        guard prefix.bigEndianWord(at: 0) == 0xD00D_FEED, let size = prefix.bigEndianWord(at: 4),
            let version = prefix.bigEndianWord(at: 20), version >= 16,
            let oldest = prefix.bigEndianWord(at: 24), oldest <= 17, size >= headerSize
        else { return nil }
        return Int(size)
    }

    /// Parses the tree at the start of `bytes`.
    ///
    /// - Throws: The flaw of bytes that are none.
    init(_ bytes: [UInt8]) throws(Flaw) {
        guard let size = DeviceTree.byteCount(prefix: bytes) else { throw .noTree }
        guard size <= bytes.count, let structure = bytes.bigEndianWord(at: 8),
            let strings = bytes.bigEndianWord(at: 12), let reserved = bytes.bigEndianWord(at: 16)
        else { throw .short }
        bootProcessor = bytes.bigEndianWord(at: 28) ?? 0
        let tree = Array(bytes[..<size])
        reservations = try DeviceTree.reservations(in: tree, at: Int(reserved))
        var reader = Reader(bytes: tree, place: Int(structure), strings: Int(strings))
        root = try reader.tree()
    }

    /// Reads pairs of address and size up to one that is empty.
    private static func reservations(
        in bytes: [UInt8], at start: Int
    ) throws(Flaw) -> [AddressRange] {
        var ranges: [AddressRange] = []
        var place = start
        while true {
            guard let address = bytes.bigEndianDouble(at: place),
                let size = bytes.bigEndianDouble(at: place + 8)
            else { throw .short }
            guard address != 0 || size != 0 else { return ranges }
            let (end, overflow) = address.addingReportingOverflow(size)
            guard !overflow else { throw .malformed(at: place) }
            if size > 0 { ranges.append(AddressRange(start: address, end: end)) }
            place += 16
        }
    }

    /// What a block of nodes is made of, by the numbers of the specification (5.4.1).
    enum Token: UInt32 {
        case node = 1
        case endOfNode = 2
        case property = 3
        case nothing = 4
        case end = 9
    }

    /// Reads the block of nodes from front to back.
    private struct Reader {
        let bytes: [UInt8]
        var place: Int
        /// Where the names of properties begin.
        let strings: Int

        mutating func tree() throws(Flaw) -> Node {
            var open: [Node] = []
            while true {
                let start = place
                guard let number = bytes.bigEndianWord(at: place) else { throw .short }
                guard let token = Token(rawValue: number) else { throw .malformed(at: start) }
                place += 4
                switch token {
                case .nothing: continue
                case .node:
                    guard open.count < DeviceTree.deepest else { throw .malformed(at: start) }
                    open.append(Node(name: try text(at: place)))
                    place = aligned(place + (open.last?.name.utf8.count ?? 0) + 1)
                case .property:
                    guard !open.isEmpty else { throw .malformed(at: start) }
                    open[open.count - 1].properties.append(try property())
                case .endOfNode:
                    guard let node = open.popLast() else { throw .malformed(at: start) }
                    if open.isEmpty { return node }
                    open[open.count - 1].children.append(node)
                case .end: throw .malformed(at: start)
                }
            }
        }

        private mutating func property() throws(Flaw) -> Property {
            guard let size = bytes.bigEndianWord(at: place),
                let name = bytes.bigEndianWord(at: place + 4)
            else { throw .short }
            let start = place + 8
            guard Int(size) <= bytes.count - start else { throw .short }
            place = aligned(start + Int(size))
            return Property(
                name: try text(at: strings + Int(name)),
                value: Array(bytes[start..<start + Int(size)]), place: start)
        }

        /// Reads a name, which ends with a NUL.
        private func text(at start: Int) throws(Flaw) -> String {
            guard start <= bytes.count else { throw .short }
            let rest = bytes[start...]
            guard let end = rest.prefix(DeviceTree.longestName + 1).firstIndex(of: 0) else {
                throw rest.count > DeviceTree.longestName ? .malformed(at: start) : .short
            }
            guard let text = String(validating: bytes[start..<end], as: UTF8.self) else {
                throw .malformed(at: start)
            }
            return text
        }

        /// The next multiple of four.
        private func aligned(_ place: Int) -> Int { (place + 3) / 4 * 4 }
    }
}

extension DeviceTree.Node {
    /// The node below this one that has `name`, with or without an address after it.
    func child(_ name: String) -> DeviceTree.Node? {
        children.first { $0.name == name || $0.name.hasPrefix(name + "@") }
    }
}

extension DeviceTree.Property {
    /// The value as text, without the NUL that ends it; `nil` if none does.
    var text: String? {
        guard let end = value.firstIndex(of: 0), end == value.count - 1 else { return nil }
        return String(validating: value[..<end], as: UTF8.self)
    }

    /// The value as numbers of 32 bits.
    var words: [UInt32] {
        stride(from: 0, to: value.count, by: 4).compactMap { value.bigEndianWord(at: $0) }
    }

    /// The value as one number of 32 or 64 bits.
    var number: UInt64? {
        switch value.count {
        case 4: value.bigEndianWord(at: 0).map(UInt64.init)
        case 8: value.bigEndianDouble(at: 0)
        default: nil
        }
    }
}
