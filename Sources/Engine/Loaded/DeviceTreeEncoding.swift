// SPDX-License-Identifier: Apache-2.0

/// Writing a flattened device tree.
///
/// What was read and is written again says the same, node by node and byte by byte; only the layout is
/// our own: that of version 17, which every kernel reads, with each name once (Devicetree
/// Specification 0.4, chapter 5).
extension DeviceTree {
    /// That a tree does not fit into its place.
    struct Oversize: Error, Equatable {
        /// How many bytes it takes.
        let needed: Int
    }

    /// Encodes the tree with zeros behind it, so that it has all of `room`, in bytes.
    ///
    /// The zeros belong to the tree: a kernel that adds nodes itself finds its room there.
    /// - Throws: How many bytes it takes, if those are more.
    func encoded(in room: Int) throws(Oversize) -> [UInt8] {
        let reserved = encodedReservations
        var writer = Writer()
        writer.append(root)
        writer.append(token: .end)
        let structure = DeviceTree.headerSize + reserved.count
        let strings = structure + writer.structure.count
        let needed = strings + writer.strings.count
        // The format has 32 bits for each size.
        guard needed <= room, room <= Int(UInt32.max) else { throw Oversize(needed: needed) }
        let header = [
            0xD00D_FEED, UInt32(room), UInt32(structure), UInt32(strings),
            UInt32(DeviceTree.headerSize), 17, 16, bootProcessor, UInt32(writer.strings.count),
            UInt32(writer.structure.count),
        ]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(room)
        for word in header { bytes.append(bigEndian: word) }
        bytes += reserved + writer.structure + writer.strings
        bytes.append(contentsOf: repeatElement(0, count: room - needed))
        return bytes
    }

    /// The pairs of address and size, with an empty one behind them.
    private var encodedReservations: [UInt8] {
        var bytes: [UInt8] = []
        for range in reservations where range.byteCount > 0 {
            bytes.append(bigEndian: range.start)
            bytes.append(bigEndian: range.byteCount)
        }
        return bytes + [UInt8](repeating: 0, count: 16)
    }

    /// Makes the block of nodes and the block of their names.
    private struct Writer {
        private(set) var structure: [UInt8] = []
        private(set) var strings: [UInt8] = []
        /// Where each name is; by its bytes, because texts that look alike are equal.
        private var places: [[UInt8]: UInt32] = [:]

        mutating func append(token: Token) { structure.append(bigEndian: token.rawValue) }

        mutating func append(_ node: Node) {
            append(token: .node)
            structure += Array(node.name.utf8) + [0]
            align()
            for property in node.properties { append(property) }
            for child in node.children { append(child) }
            append(token: .endOfNode)
        }

        private mutating func append(_ property: Property) {
            append(token: .property)
            structure.append(bigEndian: UInt32(property.value.count))
            structure.append(bigEndian: place(of: property.name))
            structure += property.value
            align()
        }

        /// Where a name is, which is added if it is new.
        private mutating func place(of name: String) -> UInt32 {
            let bytes = Array(name.utf8)
            if let place = places[bytes] { return place }
            let place = UInt32(truncatingIfNeeded: strings.count)
            places[bytes] = place
            strings += bytes + [0]
            return place
        }

        /// Fills up to a multiple of four.
        private mutating func align() {
            while structure.count % 4 > 0 { structure.append(0) }
        }
    }
}
