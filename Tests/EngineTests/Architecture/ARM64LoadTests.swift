// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Images for arm64 that are made whole, and read again as the audit reads any image.
@Suite struct ARM64LoadTests {
    private static let hole = AddressRange(start: 0xA800_0000, end: 0xB000_0000)
    private static let low = AddressRange(start: 0x4000_0000, end: 0x4080_0000)
    private static let old = AddressRange(start: 0x7000_0000, end: 0x7100_0000)

    /// The first bytes of a kernel that takes so much memory.
    private func kernelHead(taking size: UInt64) -> [UInt8] {
        var head = [UInt8](repeating: 0, count: 64)
        head.replaceSubrange(16..<24, with: Array(bigEndian: size.byteSwapped))
        head.replaceSubrange(56..<60, with: Array("ARMd".utf8))
        return head
    }

    /// What UEFI and the running kernel's stub leave: a tree without anything but `/chosen`.
    private func tree(cells: UInt32? = nil, size: UInt32? = nil) -> [UInt8] {
        let old = ARM64LoadTests.old
        var tree = SyntheticDeviceTree(
            commandLine: "root=/dev/vda", initrd: old.start, cpus: [], reservations: [old])
        tree.root.children.removeAll { $0.name != "chosen" }
        tree.root.children[0].properties += [
            ("linux,initrd-end", Array(bigEndian: old.end)),
            ("kaslr-seed", [UInt8](repeating: 7, count: 8)),
            ("linux,uefi-mmap-start", Array(bigEndian: old.start)),
        ]
        if let cells {
            tree.root.properties += [
                ("#address-cells", Array(bigEndian: cells)),
                ("#size-cells", Array(bigEndian: size ?? cells)),
            ]
        }
        return tree.bytes
    }

    private func parts(
        page: UInt64 = 4096, initrdSize: UInt64? = 0x12_3456, tree: [UInt8]? = nil,
        hole: AddressRange = hole, kernelSize: UInt64 = 0x180_0000
    ) throws(PatchObstacle) -> WholeLoad.Parts {
        try ARM64Load.parts(
            of: WholeLoad.Files(
                kernelHead: kernelHead(taking: 0x200_1000), kernelSize: kernelSize,
                initrdSize: initrdSize, commandLine: "nr_cpus=1"),
            in: WholeLoad.Place(
                hole: hole, reserved: [ARM64LoadTests.low, hole],
                header: [UInt8](repeating: 1, count: 568), tree: tree ?? self.tree(),
                pageSize: page))
    }

    @Test(arguments: [4096, 16_384, 65_536] as [UInt64], [0x12_3456, nil] as [UInt64?])
    func areWholePagesAndAreFoundAgain(page: UInt64, initrdSize: UInt64?) throws {
        let parts = try parts(page: page, initrdSize: initrdSize)
        let ranges = [parts.kernel] + (parts.initrd.map { [$0] } ?? []) + parts.made.map(\.range)
        let all = AddressRanges(ranges)
        #expect(ranges.allSatisfy { $0.start % page == 0 && $0.byteCount % page == 0 })
        #expect(all.byteCount == ranges.reduce(0, { $0 + $1.byteCount }), "none overlap")
        #expect(all.subtracting(AddressRanges([ARM64LoadTests.hole])).isEmpty)
        #expect(parts.kernel.byteCount >= 0x200_1000)

        let head = kernelHead(taking: 0x200_1000)
        let kimage = Kimage(foundByContents: ranges, entry: parts.entry, controlPage: 0)
        let found = try #require(
            try ARM64Residence.find(
                kimage, within: AddressRanges([ARM64LoadTests.hole]), pageSize: page
            ) { count, address in
                let contents = [(parts.kernel, head)] + parts.made.map { ($0.range, $0.bytes) }
                guard let (range, bytes) = contents.first(where: { $0.0.holds(address) }) else {
                    return [UInt8](repeating: 0, count: count)
                }
                let rest = bytes.dropFirst(Int(address - range.start)).prefix(count)
                return Array(rest) + [UInt8](repeating: 0, count: count - rest.count)
            })
        #expect(found.kernel == parts.kernel && found.initrd == parts.initrd)
        #expect(found.tree == parts.made[1].range && found.damage == nil)
    }

    @Test func theTreeSaysWhatTheCaptureKernelNeeds() throws {
        let parts = try parts()
        let tree = ARM64DeviceTree(tree: try DeviceTree(parts.made[1].bytes))
        let chosen = try #require(tree.tree.root.child("chosen"))
        let data = tree.bootData(at: 0)
        #expect(data.flaw == nil && data.coreHeader == parts.made[0].range)
        #expect(data.initrd == parts.initrd?.start)
        #expect(tree.initrd?.byteCount == 0x12_3456)
        #expect(chosen["bootargs"]?.value == Array("nr_cpus=1\0".utf8))
        #expect(chosen["kaslr-seed"] == nil)
        #expect(chosen["linux,uefi-mmap-start"] != nil, "what it needs of UEFI stays")
        #expect(!tree.tree.reservations.contains(ARM64LoadTests.old))
        #expect(tree.tree.reservations.contains(parts.made[0].range))
        let usable = try #require(chosen["linux,usable-memory-range"]?.value)
        #expect(usable.count == 32)
        #expect(usable.bigEndianDouble(at: 0) == ARM64LoadTests.hole.start)
        #expect(usable.bigEndianDouble(at: 16) == ARM64LoadTests.low.start)
    }

    /// Boards have addresses of two cells and sizes of one, too (bcm2711.dtsi).
    @Test(arguments: [(2, 2), (2, 1), (1, 1)] as [(UInt32, UInt32)])
    func whateverTheTreesFormTheHeaderIsFound(cells: UInt32, size: UInt32) throws {
        let parts = try parts(tree: tree(cells: cells, size: size))
        var tree = ARM64DeviceTree(tree: try DeviceTree(parts.made[1].bytes))
        #expect(tree.header == parts.made[0].range)
        let other = AddressRange(start: 0xAF00_0000, end: 0xAF00_8000)
        try tree.name(header: other)
        #expect(tree.header == other)
    }

    @Test func whatCannotBeMadeIsNamed() throws {
        func reason(_ make: () throws(PatchObstacle) -> WholeLoad.Parts) -> String {
            do throws(PatchObstacle) { _ = try make() } catch { return "\(error)" }
            return ""
        }
        let high = AddressRange(start: 0x1_A800_0000, end: 0x1_B000_0000)
        #expect(
            reason { () throws(PatchObstacle) in try parts(tree: [1, 2, 3]) }
                .contains("/sys/firmware/fdt is no device tree"))
        #expect(
            reason { () throws(PatchObstacle) in try parts(tree: tree(cells: 3)) }
                .contains("addresses of an unknown size"))
        #expect(
            reason { () throws(PatchObstacle) in try parts(initrdSize: 0x700_0000) }
                .contains("no room for 112 MiB of the initrd"))
        #expect(
            reason { () throws(PatchObstacle) in try parts(tree: tree(cells: 1), hole: high) }
                .contains("no addresses above 4 GiB"))
        _ = try parts(tree: tree(cells: 1))
        _ = try parts(tree: tree(cells: 2), hole: high)
    }
}
