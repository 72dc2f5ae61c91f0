// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// A flattened device tree that is made of nodes and properties, for tests that read one.
struct SyntheticDeviceTree {
    /// A node with its properties and what lies below it.
    struct Node {
        var name: String
        var properties: [(name: String, value: [UInt8])] = []
        var children: [Node] = []
    }

    var root: Node
    var reservations: [AddressRange] = []
    var version: UInt32 = 17

    /// A tree as kexec-tools makes one: each of `cpus` is a core with the threads of these numbers.
    init(commandLine: String, initrd: UInt64, cpus: [[UInt32]], reservations: [AddressRange]) {
        let chosen = Node(
            name: "chosen",
            properties: [
                ("linux,initrd-start", Array(bigEndian: initrd)),
                ("bootargs", Array(commandLine.utf8) + [0]),
            ])
        let cores = cpus.map { threads in
            Node(
                name: "PowerPC,POWER9@\(String(threads.first ?? 0, radix: 16))",
                properties: [
                    ("device_type", Array("cpu".utf8) + [0]),
                    ("reg", Array(bigEndian: threads.first ?? 0)),
                    ("ibm,pft-size", Array(bigEndian: UInt64(24))),
                    ("ibm,ppc-interrupt-server#s", threads.flatMap { Array(bigEndian: $0) }),
                ])
        }
        // Caches lie beside the cores and are none.
        let cache = Node(
            name: "l2-cache@7", properties: [("reg", Array(bigEndian: UInt32(7)))])
        root = Node(
            name: "",
            children: [
                Node(name: "cpus", children: cores + [cache]), chosen,
            ])
        self.reservations = reservations
    }

    /// All of it, in the layout of version 17.
    var bytes: [UInt8] {
        var (structure, strings): ([UInt8], [UInt8]) = ([], [])
        SyntheticDeviceTree.append(root, to: &structure, &strings)
        structure += Array(bigEndian: UInt32(9))
        var reserved: [UInt8] = []
        for range in reservations + [AddressRange(start: 0, end: 0)] {
            reserved += Array(bigEndian: range.start) + Array(bigEndian: range.byteCount)
        }
        let nodes = UInt32(40 + reserved.count)
        let names = nodes + UInt32(structure.count)
        let header: [UInt32] = [
            0xD00D_FEED, names + UInt32(strings.count), nodes, names, 40, version, min(version, 16),
            0, UInt32(strings.count), UInt32(structure.count),
        ]
        return header.flatMap { Array(bigEndian: $0) } + reserved + structure + strings
    }

    private static func append(
        _ node: Node, to structure: inout [UInt8], _ strings: inout [UInt8]
    ) {
        structure += Array(bigEndian: UInt32(1)) + Array(node.name.utf8) + [0]
        pad(&structure)
        for (name, value) in node.properties {
            structure += Array(bigEndian: UInt32(3)) + Array(bigEndian: UInt32(value.count))
            structure += Array(bigEndian: UInt32(strings.count)) + value
            pad(&structure)
            strings += Array(name.utf8) + [0]
        }
        for child in node.children { append(child, to: &structure, &strings) }
        structure += Array(bigEndian: UInt32(2))
    }

    private static func pad(_ bytes: inout [UInt8]) {
        while bytes.count % 4 > 0 { bytes.append(0) }
    }
}

extension [UInt8] {
    /// The bytes of a number, the highest first.
    init(bigEndian number: some FixedWidthInteger) {
        self.init()
        append(bigEndian: number)
    }
}
