// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// A machine with a crash image as kexec-tools lays one out on POWER: the capture kernel at the bottom
/// of reserved memory, then backup, core header, purgatory and initrd, and after a large hole the device
/// tree below the firmware's memory.
///
/// It can be loaded and crashed: `load` does what the kernel does, its own pages included, and `crash`
/// what purgatory and the capture kernel check.
struct POWERMachine {
    static let base: UInt64 = 0x2000_0000
    static let reserved = AddressRange(start: base, end: base + 0x280_0000)
    static let rtas: UInt64 = 0x227F_0000
    static let kernel = AddressRange(start: base, end: base + 0x40000)
    static let backup = AddressRange(start: base + 0x40000, end: base + 0x50000)
    static let kernelNote: UInt64 = 0x11E_A000
    static let directMap: UInt64 = 0xC000_0000_0000_0000
    /// Offsets in purgatory.
    private static let table: UInt64 = 0x2000
    private static let digest: UInt64 = 0x2100
    static let words = (kernel: UInt64(0x2200), tree: UInt64(0x2208), stack: UInt64(0x2210))

    let page: UInt64
    let header: AddressRange
    let purgatory: AddressRange
    let initrd: AddressRange
    let tree: AddressRange
    /// What lies in reserved memory.
    var memory = [UInt8](repeating: 0, count: Int(reserved.byteCount))
    var kimage: SyntheticKimage
    /// The cores that the running machine has, each with its threads as the firmware numbers them.
    var cores: [[UInt32]] = [[0], [8]]
    var ram = [AddressRange(start: 0, end: 0x4000_0000)]
    /// Whether the kernel tells its types and where it keeps the list of an image's parts.
    var isListed = true
    /// What the kernel says of the size of its hashed page table; `nil` if it has none.
    var pageTableOrder: Int?

    /// Makes a machine with two CPUs and 1 GiB of RAM; the digest leaves out what a kernel changes that
    /// `keepsUp`, and the header has `room` bytes.
    init(
        page: UInt64, keepsUp: Bool = false, room: UInt64 = 0, slack: UInt64 = 4096
    ) throws {
        self.page = page
        func part(_ start: UInt64, _ size: UInt64) -> AddressRange {
            AddressRange(start: start, end: start + size).inWhole(pagesOf: page)
        }
        header = part(POWERMachine.backup.end, max(room, keepsUp ? 0x20000 : 0x1000))
        purgatory = part(header.end, 0x4000)
        initrd = part(purgatory.end, 0x3_0001)
        let bytes = POWERMachine.tree(header: header, initrd: initrd, place: 0, slack: slack).bytes
        let size = (UInt64(bytes.count) + slack + page - 1) / page * page
        tree = AddressRange(start: POWERMachine.rtas - size, end: POWERMachine.rtas)
        kimage = SyntheticKimage(entryAddress: purgatory.start, listed: [], isFromFiles: false)
        kimage.keepsUp = keepsUp
        for range in [POWERMachine.kernel, initrd] {
            let count = Int(range.byteCount) - 100
            put(
                (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 ^ $0 >> 7) | 1 }, at: range.start
            )
        }
        put([UInt8](repeating: 0, count: 0x1000), at: POWERMachine.base + 0x7000)
        putPurgatory()
        put(coreHeader(), at: header.start)
        putTree(slack: slack)
        let covered = [POWERMachine.kernel, POWERMachine.backup, initrd]
        try writeDigest(keepsUp ? covered : covered + [header, tree])
        kimage.listed = [POWERMachine.kernel, POWERMachine.backup, header, purgatory, initrd, tree]
        takePages()
    }

    mutating func put(_ bytes: [UInt8], at address: UInt64) {
        let start = Int(address - POWERMachine.base)
        memory.replaceSubrange(start..<start + bytes.count, with: bytes)
    }

    func bytes(_ range: AddressRange) -> [UInt8] {
        Array(memory[Int(range.start - POWERMachine.base)..<Int(range.end - POWERMachine.base)])
    }

    func word(_ offset: UInt64) -> UInt64 {
        memory.double(at: Int(purgatory.start - POWERMachine.base + offset)) ?? 0
    }

    private mutating func putWord(_ value: UInt64, _ offset: UInt64) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: value)
        put(bytes, at: purgatory.start + offset)
    }

    /// The start of purgatory is that of the kernel, but for a branch and a flag.
    private mutating func putPurgatory() {
        var head = bytes(AddressRange(start: POWERMachine.base, end: POWERMachine.base + 0x100))
        head.set(UInt32(0x4800_0100), at: 0)
        head.set(UInt32(1), at: 0x5C)
        put(head + [UInt8](repeating: 0x60, count: 0x1000), at: purgatory.start)
        putWord(POWERMachine.base, POWERMachine.words.kernel)
        putWord(tree.start, POWERMachine.words.tree)
        putWord(initrd.end + 0x4000, POWERMachine.words.stack)
        putWord(POWERMachine.backup.start, 0x2218)
        putWord(purgatory.start + 0xA000, 0x2220)
    }

    private mutating func putTree(slack: UInt64) {
        var bytes = POWERMachine.tree(
            header: header, initrd: initrd, place: tree.start, slack: slack
        ).bytes
        let size = UInt32(bytes.count) + UInt32(slack)
        bytes.replaceSubrange(4..<8, with: Array(bigEndian: size))
        put(bytes, at: tree.start)
    }

    mutating func writeDigest(_ regions: [AddressRange]) throws {
        put(RegionTable.encoded(regions), at: purgatory.start + POWERMachine.table)
        put(try sum(regions), at: purgatory.start + POWERMachine.digest)
    }

    private func sum(_ regions: [AddressRange]) throws -> [UInt8] {
        let digest = try Digest()
        for region in regions { try digest.add(bytes(region)) }
        return try digest.finish()
    }

    private static func tree(
        header: AddressRange, initrd: AddressRange, place: UInt64, slack: UInt64
    ) -> SyntheticDeviceTree {
        // As much is reserved of the header as it has when it is loaded.
        let used = AddressRange(start: header.start, end: header.start + 0x400)
        var tree = SyntheticDeviceTree(
            commandLine: "console=hvc0 nr_cpus=1 elfcorehdr=\(header.start >> 10)K ",
            initrd: initrd.start, cpus: [[0], [8]],
            reservations: [
                AddressRange(start: 0x10000, end: base), backup, used,
                AddressRange(start: initrd.start, end: initrd.start + 0x3_0001),
                AddressRange(start: rtas, end: rtas + 0x85C),
                AddressRange(start: place, end: place + 0x800 + slack),
            ])
        tree.root.children.append(
            SyntheticDeviceTree.Node(
                name: "rtas",
                properties: [
                    ("linux,rtas-base", Array(bigEndian: UInt32(rtas))),
                    ("rtas-size", Array(bigEndian: UInt32(0x85C))),
                ]))
        return tree
    }

    /// A header as kexec-tools makes it: the notes of all possible CPUs, the backup, RAM, and the memory
    /// of the firmware that lies in reserved memory.
    func coreHeader() -> [UInt8] {
        let backup = POWERMachine.backup.start
        let ranges: [(UInt64, UInt64, UInt64)] = [
            (0, backup, 0x10000), (0x10000, 0x10000, POWERMachine.base - 0x10000),
            (
                POWERMachine.reserved.end, POWERMachine.reserved.end,
                0x4000_0000 - POWERMachine.reserved.end
            ),
            (POWERMachine.rtas, POWERMachine.rtas, 0x1000),
        ]
        let notes = (0..<4).map(POWERMachine.note) + [POWERMachine.kernelNote]
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + Array(repeating: 0, count: 8)
        for half in [4, 21] { bytes.append(littleEndian: UInt16(half)) }
        bytes.append(littleEndian: UInt32(1))
        for double in [0, 64, 0] { bytes.append(littleEndian: UInt64(double)) }
        bytes.append(littleEndian: UInt32(0))
        for half in [64, 56, notes.count + ranges.count, 0, 0, 0] {
            bytes.append(littleEndian: UInt16(half))
        }
        for note in notes { bytes += entry(4, note, note, 0, 0x400) }
        for (start, offset, size) in ranges {
            bytes += entry(1, start, offset, POWERMachine.directMap + start, size)
        }
        return bytes
    }

    func entry(
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

    /// Where a CPU leaves its registers.
    static func note(_ cpu: Int) -> UInt64 { 0x3F0_0000 + UInt64(cpu) * 0x1000 }
}

// MARK: - What a kernel does

extension POWERMachine {
    /// Where the kernel's own pages come to lie, by the loop of `kimage_alloc_crash_control_pages`.
    static func ownPages(
        beside listed: [AddressRange], page: UInt64, from base: UInt64 = base
    ) -> [UInt64] {
        var (next, pages): (UInt64, [UInt64]) = (base, [])
        for _ in 0..<2 {
            next = (next + page - 1) / page * page
            while let hit = listed.first(where: { $0.start < next + page && next < $0.end }) {
                next = (hit.end + page - 1) / page * page
            }
            pages.append(next)
            next += page
        }
        return pages
    }

    /// Takes the kernel's own pages, and writes to the second.
    private mutating func takePages() {
        let pages = POWERMachine.ownPages(beside: kimage.listed, page: page)
        put(Array("OSRELEASE=6.12\nPAGESIZE=\(page)\n".utf8), at: pages[1])
        kimage.controlPage = pages[1] + page
    }

    /// Loads segments over the image.
    mutating func load(_ segments: [Kexec.Segment]) {
        for segment in segments {
            let bytes = segment.bytes.contents
            let zeros = Int(segment.range.byteCount) - bytes.count
            put(bytes + [UInt8](repeating: 0, count: zeros), at: segment.range.start)
        }
        kimage.listed = segments.map(\.range)
        takePages()
    }

    /// Crashes on a CPU; returns what goes wrong, or `nil` if there is a dump with all of the machine.
    func crash(on cpu: UInt32) throws -> String? {
        guard kimage.listed.allSatisfy({ $0.start % page == 0 && $0.end % page == 0 }) else {
            return "the kernel refuses segments that are no whole pages"
        }
        let place = Int(purgatory.start - POWERMachine.base + POWERMachine.table)
        let whole = AddressRanges([POWERMachine.reserved])
        let table = RegionTable.candidates(
            in: Array(memory[place..<place + RegionTable.byteCount]), within: whole)
        let digest = purgatory.start + POWERMachine.digest
        guard table.count == 1,
            try sum(table[0].regions)
                == bytes(AddressRange(start: digest, end: digest + 32))
        else { return "sha256 digests do not match" }
        guard isLaidOut(table[0].regions) else { return "an exception in purgatory" }
        guard let tree = try? DeviceTree(from(word(POWERMachine.words.tree))),
            let data = POWERDeviceTree(tree: tree).bootData(at: 0).bootProcessors,
            data.members.contains(Int(cpu))
        else { return "Failed to identify boot CPU" }
        return try crash(with: tree)
    }

    /// Whether purgatory has a stack of its own, and a whole kernel to jump to, at a place that kernels
    /// can run at.
    private func isLaidOut(_ regions: [AddressRange]) -> Bool {
        let stack = word(POWERMachine.words.stack)
        let room = AddressRange(start: stack - 0x4000, end: stack)
        let kernel = word(POWERMachine.words.kernel)
        let code = bytes(AddressRange(start: kernel + 4, end: kernel + 0x5C))
        let copy = AddressRange(start: purgatory.start + 4, end: purgatory.start + 0x5C)
        return !(kimage.listed + regions).contains { $0.overlaps(room) }
            && kernel % (16 << 20) == 0 && regions.contains { $0.start == kernel }
            && code == bytes(copy)
    }

    /// What lies at an address, as much as any part has.
    private func from(_ address: UInt64) -> [UInt8] {
        let start = Int(address - POWERMachine.base)
        return Array(memory[start..<min(start + 0x40000, memory.count)])
    }

    private func crash(with tree: DeviceTree) throws -> String? {
        let line = tree.root.child("chosen")?["bootargs"]?.text ?? ""
        let spared = AddressRanges(tree.reservations)
        guard let place = ResidentCommandLine.coreHeader(in: line),
            let header = try? CoreHeader(from(place)),
            spared.contains(AddressRange(start: place, end: place + UInt64(header.byteCount)))
        else { return "panic in vmcore_init" }
        if let pageTableOrder {
            let cpus = tree.root.child("cpus")?.children ?? []
            let orders = cpus.compactMap { $0["ibm,pft-size"]?.words.last }
            guard Set(orders) == [UInt32(pageTableOrder)] else { return "hangs" }
        }
        let described = CoreDescription(of: header, kernelNote: POWERMachine.kernelNote)
        let backup = header.entries.contains {
            $0.kind == .memory && $0.physical == 0 && $0.offset == POWERMachine.backup.start
        }
        let firmware = AddressRange(start: POWERMachine.rtas, end: POWERMachine.rtas + 0x1000)
        let wanted = live.ram.union(AddressRanges([firmware]))
        guard described.ram == wanted, backup else { return "a dump of another machine" }
        return nil
    }
}
