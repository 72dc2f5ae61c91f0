// SPDX-License-Identifier: Apache-2.0

/// Finds out what is resident of a crash image on arm64.
///
/// Each loader leaves another trail from the entry. `kexec_file_load`: the entry is the kernel, and
/// the device tree is listed. kexec-tools: the entry is in purgatory, which has the addresses of
/// both (purgatory/arch/arm64/entry.S, `arm64_kernel_entry` and `arm64_dtb_addr`). A patch: the
/// entry is a trampoline that says where everything is. The device tree names the rest. What does
/// not agree is not understood; nothing is written.
struct ARM64Residence {
    /// Reads a number of bytes at a physical address.
    typealias Read = (_ count: Int, _ address: UInt64) throws(Unknowable) -> [UInt8]

    private let kimage: Kimage
    private let read: Read
    private let hole: AddressRange
    private let pageSize: UInt64

    /// The largest purgatory that is read, in bytes; kexec-tools' has 16 KiB.
    private static let largestCode: UInt64 = 1 << 20
    /// The largest tree there may be (Documentation/arch/arm64/booting.rst).
    static let largestTree = 2 << 20

    /// Finds it, for a kernel with pages of `pageSize` bytes; `nil` if it does not become clear.
    ///
    /// - Throws: Why memory cannot be read.
    static func find(
        _ kimage: Kimage, within reserved: AddressRanges, pageSize: UInt64, read: @escaping Read
    ) throws(Unknowable) -> Residence? {
        guard let hole = reserved.ranges.first(where: { $0.holds(kimage.entry) }) else {
            return nil
        }
        let search = ARM64Residence(
            kimage: kimage, read: read, hole: hole, pageSize: pageSize)
        guard let trail = try search.trail(), let found = try search.residence(at: trail) else {
            return nil
        }
        return try search.settled(found)
    }

    /// Where the entry leads.
    private struct Trail {
        let maker: Kimage.Loader
        let code: AddressRange?
        let kernel: UInt64
        let tree: UInt64
        /// What a trampoline says of the rest.
        var record: ARM64Trampoline?
        /// Why it leads nowhere.
        var damage: String?
    }

    /// Follows the trail.
    private func trail() throws(Unknowable) -> Trail? {
        let entry = kimage.entry
        guard entry % 4 == 0 else { return nil }
        let head = try bytes(ARM64Trampoline.byteCount, at: entry)
        if let record = ARM64Trampoline(head) {
            let page = AddressRange(start: entry, end: entry + 1).inWhole(pagesOf: pageSize)
            return Trail(
                maker: .kernel, code: listed(at: entry) ?? page, kernel: record.kernel,
                tree: record.tree, record: record)
        }
        if ARM64Image(head) != nil {
            let trees = try kimage.segments.map { segment throws(Unknowable) in
                try treeSize(at: segment.range.start) == nil ? nil : segment.range.start
            }.compactMap { $0 }
            guard trees.count == 1 else { return nil }
            var trail = Trail(
                maker: .kernel, code: nil, kernel: entry, tree: trees[0])
            if kimage.loader == .program {
                trail.damage = "nothing tells its kernel where its device tree is"
            }
            return trail
        }
        let code = kimage.segments.map(\.range).first { $0.holds(entry) }
        return try code.flatMap { code throws(Unknowable) in try trail(in: code) }
    }

    /// Follows the trail from purgatory, whose words name a kernel and a tree.
    private func trail(in code: AddressRange) throws(Unknowable) -> Trail? {
        guard code.byteCount <= ARM64Residence.largestCode else { return nil }
        let bytes = try read(Int(code.byteCount), code.start)
        let words = stride(from: 0, to: bytes.count, by: 8).compactMap { bytes.double(at: $0) }
        var (kernels, trees): ([UInt64], [UInt64]) = ([], [])
        for place in Set(words.filter { $0 % 8 == 0 && hole.holds($0) && !code.holds($0) }) {
            if try image(at: place) != nil { kernels.append(place) }
            if try treeSize(at: place) != nil { trees.append(place) }
        }
        guard kernels.count == 1, trees.count == 1 else { return nil }
        return Trail(maker: .program, code: code, kernel: kernels[0], tree: trees[0])
    }

    /// Finds how large the parts are, and those that the tree names.
    private func residence(at trail: Trail) throws(Unknowable) -> Residence? {
        guard let image = try image(at: trail.kernel), let size = try treeSize(at: trail.tree),
            let tree = try? DeviceTree(try bytes(size, at: trail.tree))
        else { return nil }
        let chosen = ARM64DeviceTree(tree: tree)
        if let record = trail.record {
            guard record.header == chosen.header?.start,
                record.initrd == chosen.initrd?.start ?? 0
            else { return nil }
        }
        let parts = [
            part(at: trail.kernel, image.byteCount), part(at: trail.tree, UInt64(size)),
            chosen.initrd.flatMap { part(at: $0.start, $0.byteCount) },
        ]
        guard let kernel = parts[0], let place = parts[1],
            chosen.initrd == nil || parts[2] != nil
        else { return nil }
        let all = parts.compactMap { $0 } + (trail.code.map { [$0] } ?? [])
        guard AddressRanges(all).byteCount == all.reduce(0, { $0 + $1.byteCount }) else {
            return nil
        }
        return Residence(
            maker: trail.maker, code: trail.code, kernel: kernel, tree: place, initrd: parts[2],
            damage: trail.damage)
    }

    /// Notes whether the running kernel has written into the capture kernel, and whether that
    /// matters.
    private func settled(_ found: Residence) throws(Unknowable) -> Residence {
        let listed = AddressRanges(kimage.segments.map(\.range))
        let pages = ControlPages(beside: listed, in: hole, pageSize: pageSize)
        guard let page = pages?.note, page.overlaps(found.kernel) else { return found }
        var residence = found
        let unused = ARM64Patch.unusedPages(of: found.kernel, pageSize: pageSize)
        if unused.contains(page),
            ARM64Patch.isUnused(try read(Int(page.byteCount), page.start))
        {
            residence.landing = page
        } else {
            residence.damage =
                "the running kernel has put a page of its own into the capture kernel"
        }
        return residence
    }
}

extension ARM64Residence {
    /// The listed segment that begins at an address.
    private func listed(at start: UInt64) -> AddressRange? {
        kimage.segments.map(\.range).first { $0.start == start }
    }

    /// The part at an address: the segment if it is listed, else whole pages.
    private func part(at start: UInt64, _ size: UInt64) -> AddressRange? {
        if let listed = listed(at: start) { return listed }
        guard start % pageSize == 0, size > 0, size <= hole.byteCount else { return nil }
        let part = AddressRange(start: start, end: start + size).inWhole(pagesOf: pageSize)
        return AddressRanges([part]).subtracting(AddressRanges([hole])).isEmpty ? part : nil
    }

    /// The kernel at an address.
    private func image(at place: UInt64) throws(Unknowable) -> ARM64Image? {
        guard place % ARM64Image.alignment == 0 else { return nil }
        return ARM64Image(try bytes(ARM64Image.headerSize, at: place))
    }

    /// How large the tree at an address is.
    private func treeSize(at place: UInt64) throws(Unknowable) -> Int? {
        let size = DeviceTree.byteCount(prefix: try bytes(DeviceTree.headerSize, at: place))
        return size.flatMap { $0 <= ARM64Residence.largestTree ? $0 : nil }
    }

    /// Reads what lies at an address; nothing where that is not all in the reserved range.
    private func bytes(_ count: Int, at place: UInt64) throws(Unknowable) -> [UInt8] {
        guard hole.holds(place), hole.end - place >= UInt64(count) else { return [] }
        return try read(count, place)
    }
}
