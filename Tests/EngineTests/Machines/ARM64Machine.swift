// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// A machine with a crash image as `kexec_file_load` or kexec-tools lays one out on arm64.
///
/// The capture kernel is at the bottom of reserved memory, then the initrd. The rest lies at the
/// top (the kernel's own loader: device tree and core header) or follows, but for the core header
/// (kexec-tools: device tree, purgatory).
///
/// It can be loaded and crashed: `load` does what the kernel does, its own pages included, and
/// `crash` (ARM64MachineCrash.swift) what a processor, purgatory and the capture kernel do.
struct ARM64Machine {
    static let base: UInt64 = 0x4800_0000
    static let reserved = AddressRange(start: base, end: base + 0xA0_0000)
    static let kernel = AddressRange(start: base, end: base + 0x40000)
    static let initrdSize: UInt64 = 0x2_0123
    static let initrd = AddressRange(start: kernel.end, end: kernel.end + initrdSize)
    static let kernelNote: UInt64 = 0x4136_0000
    /// Where the running kernel is, and how far RAM's virtual addresses are above the physical
    /// ones.
    static let text = AddressRange(start: 0x4020_0000, end: 0x4022_0000)
    static let textDistance: UInt64 = 0xFFFF_8000_4000_0000
    static let directMap: UInt64 = 0xFFFE_FFFF_C000_0000
    /// Offsets in purgatory.
    static let table: UInt64 = 0x1C00
    static let digest: UInt64 = 0x1D00
    static let words = (kernel: UInt64(0x1E00), tree: UInt64(0x1E08))

    let page: UInt64
    let maker: Kimage.Loader
    let header: AddressRange
    let tree: AddressRange
    /// Empty in images of `kexec_file_load`.
    let purgatory: AddressRange
    /// What lies in reserved memory.
    var memory = [UInt8](repeating: 0, count: Int(reserved.byteCount))
    /// What lay in the capture kernel and the initrd when they were loaded.
    private(set) var original: [UInt8] = []
    var kimage: SyntheticKimage
    /// What the kernel hands to the image as the address of the device tree.
    var treeAddress: UInt64 = 0
    /// The page that holds the kernel's copy of vmcoreinfo.
    var notePage: UInt64 = 0
    var cpus = 2
    var ram = [AddressRange(start: 0x4000_0000, end: 0x8000_0000)]
    /// Whether the kernel says where it keeps the list of an image's parts.
    var isListed = true
    /// How many variables of the kernel point to that list.
    var pointers = 1
    var commandLine = "console=ttyAMA0 nr_cpus=1 reset_devices"
    /// Whether what is listed reads as zeros.
    var hides = false
    /// Whether kexec-tools has found the kernel.
    let isHeaderRight: Bool

    /// Makes a machine with two CPUs and 1 GiB of RAM; the header has `room` bytes, and the tree as
    /// many to spare as `slack` says.
    init(
        page: UInt64, maker: Kimage.Loader, room: UInt64 = 0x1000, slack: UInt64 = 64,
        isHeaderRight: Bool = true
    ) throws {
        (self.page, self.maker, self.isHeaderRight) = (page, maker, isHeaderRight)
        func part(_ start: UInt64, _ size: UInt64) -> AddressRange {
            AddressRange(start: start, end: start + size).inWhole(pagesOf: page)
        }
        let rest = part(ARM64Machine.initrd.start, ARM64Machine.initrdSize).end
        let end = ARM64Machine.reserved.end
        let size = part(0, room).byteCount
        switch maker {
        case .kernel:
            header = part((end - size) / 0x10000 * 0x10000, room)
            tree = part(end - 0x20_0000, 0x1000)
            purgatory = AddressRange(start: rest, end: rest)
        case .program:
            header = AddressRange(start: end - size, end: end)
            tree = part(rest, 0x1000)
            purgatory = part(tree.end, 0x4000)
        }
        kimage = SyntheticKimage(
            entryAddress: maker == .kernel ? ARM64Machine.base : purgatory.start + 0x140,
            listed: [], isFromFiles: maker == .kernel)
        putKernel()
        put(
            (0..<Int(ARM64Machine.initrdSize)).map { UInt8(truncatingIfNeeded: $0 * 5 ^ $0 >> 6) },
            at: ARM64Machine.initrd.start)
        original = Array(memory[..<Int(rest - ARM64Machine.base)])
        put(coreHeader(), at: header.start)
        try putTree(slack: slack)
        let initrd = part(ARM64Machine.initrd.start, ARM64Machine.initrdSize)
        kimage.listed = [ARM64Machine.kernel, initrd, tree]
        if maker == .program {
            putPurgatory()
            try writeDigest(kimage.listed + [header])
            kimage.listed.append(purgatory)
        }
        kimage.listed.append(header)
        treeAddress = maker == .kernel ? tree.start : 0
        takePages()
    }

    mutating func put(_ bytes: [UInt8], at address: UInt64) {
        let start = Int(address - ARM64Machine.base)
        memory.replaceSubrange(start..<start + bytes.count, with: bytes)
    }

    func bytes(_ range: AddressRange) -> [UInt8] {
        Array(memory[Int(range.start - ARM64Machine.base)..<Int(range.end - ARM64Machine.base)])
    }

    func number(at address: UInt64) -> UInt64 {
        memory.double(at: Int(address - ARM64Machine.base)) ?? 0
    }

    mutating func putNumber(_ value: UInt64, at address: UInt64) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: value)
        put(bytes, at: address)
    }

    /// A header, padding, and from 64 KiB on what is no padding.
    private mutating func putKernel() {
        var bytes = [UInt8](repeating: 0, count: Int(ARM64Machine.kernel.byteCount))
        for place in stride(from: 0x148, to: 0x10000, by: 4) {
            bytes.set(UInt32(0xD503_201F), at: place)
        }
        for place in 0x10000..<0x38000 {
            bytes[place] = UInt8(truncatingIfNeeded: place * 7 ^ place >> 7) | 1
        }
        bytes.set(UInt64(0x1441_2400_FA40_5A4D), at: 0)
        bytes.set(ARM64Machine.kernel.byteCount, at: 16)
        bytes.set(UInt64(0xA), at: 24)
        bytes.set(UInt32(0x644D_5241), at: 56)
        put(bytes, at: ARM64Machine.base)
    }

    private mutating func putPurgatory() {
        put(
            (0..<0x1000).map { UInt8(truncatingIfNeeded: $0 * 11) | 1 }, at: purgatory.start)
        putNumber(ARM64Machine.base, at: purgatory.start + ARM64Machine.words.kernel)
        putNumber(tree.start, at: purgatory.start + ARM64Machine.words.tree)
    }

    mutating func putTree(slack: UInt64 = 64) throws {
        let initrd = ARM64Machine.initrd
        let range = Array(bigEndian: header.start) + Array(bigEndian: header.byteCount)
        var tree = SyntheticDeviceTree(
            commandLine: commandLine, initrd: initrd.start, cpus: [],
            // The kernel's loader reserves these, kexec-tools leaves that to the capture kernel.
            reservations: maker == .kernel ? [header, initrd] : [])
        tree.root.children = tree.root.children.filter { $0.name == "chosen" }
        tree.root.children[0].properties += [
            ("linux,initrd-end", Array(bigEndian: initrd.end)), ("linux,elfcorehdr", range),
        ]
        var bytes = tree.bytes
        // The rest is one name more, so that nothing is to spare but what is wanted.
        let spare = Int(self.tree.byteCount) - bytes.count - Int(slack)
        if slack < 64, spare > 32 {
            tree.root.children[0].properties.append(
                ("x", [UInt8](repeating: 7, count: (spare - 16) / 4 * 4)))
            bytes = tree.bytes
        }
        put(bytes, at: self.tree.start)
    }

    mutating func writeDigest(_ regions: [AddressRange]) throws {
        put(RegionTable.encoded(regions), at: purgatory.start + ARM64Machine.table)
        put(try sum(regions), at: purgatory.start + ARM64Machine.digest)
    }

    func sum(_ regions: [AddressRange]) throws -> [UInt8] {
        let digest = try Digest()
        for region in regions { try digest.add(bytes(region)) }
        return try digest.finish()
    }

    /// Where a CPU leaves its registers.
    static func note(_ cpu: Int) -> UInt64 { 0x7F00_0000 + UInt64(cpu) * 0x1000 }

    /// A header as its loader makes it.
    ///
    /// It has the notes of all possible CPUs or of the present ones, the
    /// kernel's own range, and RAM. kexec-tools is wrong where it does not find the kernel.
    func coreHeader() -> [UInt8] {
        let end = ARM64Machine.reserved.end
        let text = ARM64Machine.text
        let distance = isHeaderRight ? ARM64Machine.directMap : 0
        var loads = [
            (0x4000_0000, distance, ARM64Machine.base - 0x4000_0000),
            (end, distance, 0x8000_0000 - end),
        ]
        loads.insert(
            isHeaderRight
                ? (text.start, ARM64Machine.textDistance, text.byteCount)
                : (0x8000_B000_0000, 0, 0xFFFF_8000_09BF_0000), at: 0)
        let notes =
            (0..<(maker == .kernel ? 4 : 2)).map(ARM64Machine.note) + [ARM64Machine.kernelNote]
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + Array(repeating: 0, count: 8)
        for half in [4, 183] { bytes.append(littleEndian: UInt16(half)) }
        bytes.append(littleEndian: UInt32(1))
        for double in [0, 64, 0] { bytes.append(littleEndian: UInt64(double)) }
        bytes.append(littleEndian: UInt32(0))
        for half in [64, 56, notes.count + loads.count, 0, 0, 0] {
            bytes.append(littleEndian: UInt16(half))
        }
        for note in notes { bytes += ARM64Machine.entry(4, note, note, 0, 0x400) }
        for (start, distance, size) in loads {
            bytes += ARM64Machine.entry(1, start, start, start &+ distance, size)
        }
        return bytes
    }

    static func entry(
        _ type: UInt32, _ physical: UInt64, _ offset: UInt64, _ virtual: UInt64, _ size: UInt64
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: UInt32(type == 1 ? 7 : 0))
        for number in [offset, virtual, physical, size, size, 0] {
            bytes.append(littleEndian: number)
        }
        return bytes
    }
}
