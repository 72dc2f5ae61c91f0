// SPDX-License-Identifier: Apache-2.0

/// Finds a crash image by what lies in reserved memory, where the kernel tells neither where it keeps
/// its list of the parts nor how that list is laid out.
///
/// It knows images that kexec-tools has made with a device tree. Each step leads to the next by a value
/// that only one thing has: a tree, whose command line names the core header; the table of a digest, in
/// whose purgatory is the address of the tree and that of a kernel in the table; and the entry, which is
/// a copy of the kernel's own beginning (kexec-tools' purgatory, v2wrap.S). What is found so
/// may be the remains of an image that was replaced, so it counts only once its digest is computed. How
/// much is read is bounded.
struct DeviceTreeImage {
    /// Reads bytes at a physical address.
    private let read: (_ count: Int, _ address: UInt64) throws(Unknowable) -> [UInt8]
    private let reserved: AddressRanges

    /// Segments begin at multiples of this at least.
    private static let step = Architecture.smallestPage
    /// How far from the core header and the initrd purgatory is looked for; it lies between them.
    private static let reach: UInt64 = 256 << 10
    /// The largest tree that is read, in bytes, and the most trees.
    private static let largestTree = 16 << 20
    private static let mostTrees = 64
    /// How many bytes the entry has in common with the kernel, but for the first instruction and a flag.
    private static let entrySize: UInt64 = 0x100
    private static let flag = 0x5C..<0x60

    /// Looks for the image that is loaded.
    ///
    /// - Throws: Why memory cannot be read, or that nothing is found.
    static func find(in kcore: Kcore, within reserved: AddressRanges) throws(Unknowable) -> Kimage {
        try find(within: reserved) { count, address throws(Unknowable) in
            try kcore.bytes(count, at: address)
        }
    }

    /// Looks for the image that is loaded, in memory that `read` reads.
    ///
    /// - Throws: What that throws, or that nothing is found.
    static func find(
        within reserved: AddressRanges,
        read: @escaping (_ count: Int, _ address: UInt64) throws(Unknowable) -> [UInt8]
    ) throws(Unknowable) -> Kimage {
        try find(DeviceTreeImage(read: read, reserved: reserved))
    }

    private static func find(_ search: DeviceTreeImage) throws(Unknowable) -> Kimage {
        var trees = 0
        for range in search.reserved.ranges.reversed() {
            // The loader puts the tree as high as it can.
            var place = range.end / step * step
            while place >= range.start + step, trees < mostTrees {
                place -= step
                guard let tree = try search.tree(at: place, in: range) else { continue }
                trees += 1
                if let found = try search.image(with: tree, at: place) { return found }
            }
        }
        throw Unknowable(
            "this kernel does not tell where it keeps a crash image (CONFIG_KALLSYMS_ALL and"
                + " CONFIG_DEBUG_INFO_BTF would), and nothing in reserved memory is one",
            mayPass: true)
    }

    private func tree(
        at place: UInt64, in range: AddressRange
    ) throws(Unknowable) -> DeviceTree? {
        let head = try read(DeviceTree.headerSize, place)
        guard let size = DeviceTree.byteCount(prefix: head),
            size <= DeviceTreeImage.largestTree, UInt64(size) <= range.end - place
        else { return nil }
        return try? DeviceTree(try read(size, place))
    }

    /// What a tree says of the image that it belongs to.
    private struct Account {
        let tree: AddressRange
        let header: UInt64
        let initrd: UInt64?
        let reservations: [AddressRange]
    }

    private func account(of tree: DeviceTree, at place: UInt64) -> Account? {
        let chosen = tree.root.child("chosen")
        guard let line = chosen?["bootargs"]?.text,
            let header = ResidentCommandLine.coreHeader(in: line),
            reserved.contains(
                AddressRange(start: header, end: header &+ UInt64(CoreHeader.fixedSize)))
        else { return nil }
        let own = tree.reservations.first { $0.start == place }
        return Account(
            tree: own ?? AddressRange(start: place, end: place), header: header,
            initrd: chosen?["linux,initrd-start"]?.number, reservations: tree.reservations)
    }

    /// Finds the rest of the image that a tree belongs to; `nil` if it belongs to none.
    private func image(with tree: DeviceTree, at place: UInt64) throws(Unknowable) -> Kimage? {
        guard let account = account(of: tree, at: place) else { return nil }
        let head = try read(CoreHeader.fixedSize, account.header)
        guard (try? CoreHeader.byteCount(prefix: head)) != nil else { return nil }
        var found: [Kimage] = []
        for window in windows(of: account) {
            let bytes = try read(Int(window.byteCount), window.start)
            for table in RegionTable.candidates(in: bytes, within: reserved) {
                let image = try image(
                    by: account, table, bytes: bytes, in: window)
                if let image { found.append(image) }
            }
        }
        return found.count == 1 ? found.first : nil
    }

    /// Where purgatory may be: before the initrd, and behind the core header.
    private func windows(of account: Account) -> [AddressRange] {
        var windows = [
            AddressRange(start: account.header, end: account.header + DeviceTreeImage.reach)
        ]
        if let initrd = account.initrd, initrd >= DeviceTreeImage.reach {
            windows.append(AddressRange(start: initrd - DeviceTreeImage.reach, end: initrd))
        }
        return AddressRanges(windows).intersection(reserved).ranges
    }

    /// Finds the rest of an image that a table of regions, in the `bytes` of a window, belongs to.
    private func image(
        by account: Account, _ table: RegionTable, bytes: [UInt8], in window: AddressRange
    ) throws(Unknowable) -> Kimage? {
        guard let known = parts(of: account, table.regions) else { return nil }
        let place = window.start + UInt64(table.offset)
        // Purgatory is all that is left around its table.
        let gap = AddressRanges([window]).subtracting(AddressRanges(table.regions + known)).ranges
            .first { $0.holds(place) }
        guard let purgatory = gap, purgatory.end < window.end || account.initrd == purgatory.end
        else { return nil }
        let words = Words(
            bytes: bytes, base: window.start, range: purgatory,
            table: AddressRange(start: place, end: place + UInt64(RegionTable.byteCount)))
        let others = Set(account.reservations.map(\.start) + [account.header, account.tree.start])
        let kernels = table.regions.filter { region in
            !others.contains(region.start) && words.count(of: region.start) == 1
        }
        guard words.count(of: account.tree.start) == 1, kernels.count == 1 else { return nil }
        let kernel = try read(
            Int(DeviceTreeImage.entrySize), kernels[0].start)
        guard let entry = words.entry(like: kernel) else { return nil }
        return Kimage(
            foundByContents: table.regions + known + [purgatory], entry: entry,
            controlPage: kernels[0].start)
    }

    /// The core header and the tree, as far as the table does not list them; `nil` if nothing says how
    /// large one is.
    private func parts(of account: Account, _ regions: [AddressRange]) -> [AddressRange]? {
        var parts: [AddressRange] = []
        for start in [account.header, account.tree.start]
        where !regions.contains(where: { $0.start == start }) {
            guard let room = account.reservations.first(where: { $0.start == start }) else {
                return nil
            }
            parts.append(room.inWhole(pagesOf: DeviceTreeImage.step))
        }
        return parts
    }

    /// The words of a purgatory, but for its table.
    private struct Words {
        let bytes: [UInt8]
        let base: UInt64
        let range: AddressRange
        let table: AddressRange

        func count(of value: UInt64) -> Int {
            stride(from: range.start, to: range.end, by: 8).count { place in
                !table.holds(place) && bytes.double(at: Int(place - base)) == value
            }
        }

        /// The only place that begins like a kernel.
        func entry(like kernel: [UInt8]) -> UInt64? {
            let compared = (4..<kernel.count).filter { !DeviceTreeImage.flag.contains($0) }
            let places = stride(
                from: range.start, to: range.end, by: Int(DeviceTreeImage.entrySize)
            ).filter { place in
                let offset = Int(place - base)
                return offset + kernel.count <= bytes.count
                    && compared.allSatisfy { bytes[offset + $0] == kernel[$0] }
            }
            return places.count == 1 ? places.first : nil
        }
    }
}
