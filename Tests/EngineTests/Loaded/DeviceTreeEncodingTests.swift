// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Trees that are written: what was read comes back, and nothing is written beyond the room.
@Suite struct DeviceTreeEncodingTests {
    private static var synthetic: SyntheticDeviceTree {
        var tree = SyntheticDeviceTree(
            commandLine: "quiet nr_cpus=1", initrd: 0x2800_0000, cpus: [[0, 1], [8, 9]],
            reservations: [
                AddressRange(start: 0x2000_0000, end: 0x2001_0000),
                AddressRange(start: 0x1000, end: 0x1003),
            ])
        tree.root.properties = [("empty", []), ("odd", [1, 2, 3]), ("compatible", [0x78, 0])]
        return tree
    }

    /// A node without the places of its values, which another layout changes.
    private func placeless(_ node: DeviceTree.Node) -> DeviceTree.Node {
        var node = node
        for index in node.properties.indices { node.properties[index].place = 0 }
        node.children = node.children.map(placeless)
        return node
    }

    @Test func comesBackAsItWas() throws {
        let bytes = DeviceTreeEncodingTests.synthetic.bytes
        let tree = try DeviceTree(bytes)
        let again = try DeviceTree(tree.encoded(in: bytes.count))
        #expect(placeless(again.root) == placeless(tree.root))
        #expect(again.reservations == tree.reservations)
        #expect(again.bootProcessor == tree.bootProcessor)
        #expect(try again.encoded(in: 5000) == tree.encoded(in: 5000))
    }

    /// The names are there once, so that the tree is smaller than the synthetic one.
    @Test func fillsItsRoomAndNoMore() throws {
        let tree = try DeviceTree(DeviceTreeEncodingTests.synthetic.bytes)
        let error = #expect(throws: DeviceTree.Oversize.self) { try tree.encoded(in: 0) }
        let needed = try #require(error?.needed)
        #expect(needed > 400 && needed < DeviceTreeEncodingTests.synthetic.bytes.count)
        for room in [needed, needed + 1, needed + 4096] {
            let bytes = try tree.encoded(in: room)
            #expect(bytes.count == room && DeviceTree.byteCount(prefix: bytes) == room)
            #expect(bytes[needed...].allSatisfy { $0 == 0 })
        }
        #expect(throws: DeviceTree.Oversize(needed: needed)) { try tree.encoded(in: needed - 1) }
    }

    /// The header has the offsets and sizes that the specification asks for.
    @Test func tellsItsBlocks() throws {
        let tree = try DeviceTree(DeviceTreeEncodingTests.synthetic.bytes)
        let bytes = try tree.encoded(in: 4096)
        let header = (0..<10).compactMap { bytes.bigEndianWord(at: $0 * 4) }
        #expect(header[4] == 40 && header[5] == 17 && header[6] == 16)
        #expect(header[2] == 40 + 3 * 16 && header[2] % 8 == 0)
        #expect(header[3] == header[2] + header[9])
        #expect(bytes.bigEndianWord(at: Int(header[3]) - 4) == 9)
        #expect(bytes[Int(header[3] + header[8]) - 1] == 0)
    }

    @Test func noiseComesBackToo() throws {
        var generator = Repeatable(23)
        let whole = DeviceTreeEncodingTests.synthetic.bytes
        var read = 0
        for _ in 0..<3000 {
            guard let tree = try? DeviceTree(whole.flipped(3, using: &generator)) else { continue }
            read += 1
            let bytes = try tree.encoded(in: 64 << 10)
            let again = try DeviceTree(bytes)
            #expect(try again.encoded(in: 64 << 10) == bytes)
            #expect(again.reservations == tree.reservations)
        }
        #expect(read > 100)
    }
}
