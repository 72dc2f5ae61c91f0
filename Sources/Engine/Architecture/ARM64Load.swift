// SPDX-License-Identifier: Apache-2.0

/// The parts of a whole image for arm64, made for a load without `kexec_file_load` and without another
/// program; pure.
///
/// There is little to make: a kernel is started with the address of a device tree, which on machines with
/// ACPI is hardly more than `/chosen` (Documentation/arch/arm64/booting.rst; drivers/of/kexec.c,
/// `of_kexec_alloc_and_setup_fdt`). The parts lie as the kernel's own loader puts them, the kernel at the
/// bottom and what a patch may move at the top. The entry is a trampoline, as after a patch. There is no
/// digest: no code would check it.
struct ARM64Load {
    private let files: WholeLoad.Files
    private let place: WholeLoad.Place
    private var places: FreePlaces

    /// What the running kernel was told that is not so for another one: where its own initrd is, numbers
    /// that it has used up, and what a kernel before it has left (drivers/of/kexec.c).
    private static let others = [
        "linux,initrd-start", "linux,initrd-end", "kaslr-seed", "rng-seed",
        "linux,ima-kexec-buffer", "linux,kho-fdt", "linux,kho-scratch",
    ]
    /// How much room a device tree gets beyond its own size, in bytes.
    private static let treeGrowth: UInt64 = 4 << 10

    /// Makes all parts but the files themselves.
    ///
    /// - Throws: Why they cannot be made.
    static func parts(
        of files: WholeLoad.Files, in place: WholeLoad.Place
    ) throws(PatchObstacle) -> WholeLoad.Parts {
        var load = ARM64Load(files, place)
        return try load.parts()
    }

    private init(_ files: WholeLoad.Files, _ place: WholeLoad.Place) {
        (self.files, self.place) = (files, place)
        places = FreePlaces(besides: AddressRanges(), in: place.hole)
    }

    private mutating func parts() throws(PatchObstacle) -> WholeLoad.Parts {
        guard let image = ARM64Image(files.kernelHead) else {
            throw .imageNotUnderstood(because: "the kernel is older than 5.8")
        }
        let kernel = try take(
            max(image.byteCount, files.kernelSize), alignedTo: ARM64Image.alignment,
            for: "the kernel")
        let initrd = try files.initrdSize.map { size throws(PatchObstacle) in
            try take(size, for: "the initrd")
        }
        let header = try take(
            UInt64(place.header.count) + HeaderPlan.growth, fromTop: true, for: "the core header")
        let contents = initrd.map { part in
            AddressRange(start: part.start, end: part.start + (files.initrdSize ?? 0))
        }
        let tree = try tree(initrd: contents, header: header)
        let entry = try take(
            UInt64(ARM64Trampoline.byteCount), fromTop: true, for: "the entry")
        let trampoline = ARM64Trampoline(
            kernel: kernel.start, tree: tree.range.start, header: header.start,
            initrd: initrd?.start ?? 0)
        return WholeLoad.Parts(
            kernel: kernel, initrd: initrd,
            made: [
                .init(range: header, bytes: place.header), tree,
                .init(range: entry, bytes: trampoline.bytes),
            ],
            entry: entry.start)
    }

    /// Finds room for a part, in whole pages.
    private mutating func take(
        _ size: UInt64, alignedTo alignment: UInt64 = ARM64Patch.alignment, fromTop: Bool = false,
        for what: String
    ) throws(PatchObstacle) -> AddressRange {
        try places.take(
            AddressRange(start: 0, end: size).inWhole(pagesOf: place.pageSize).byteCount,
            alignedTo: alignment, fromTop: fromTop, for: what)
    }

    /// Makes the device tree from the one that the running kernel was started with.
    private mutating func tree(
        initrd: AddressRange?, header: AddressRange
    ) throws(PatchObstacle) -> WholeLoad.Part {
        guard var tree = try? DeviceTree(place.tree) else {
            throw .imageNotUnderstood(because: "/sys/firmware/fdt is no device tree")
        }
        let old = ARM64DeviceTree(tree: tree).initrd
        // Where the kernel was started by UEFI, no other node depends on them.
        let forms = ["#address-cells", "#size-cells"]
        let isBare = tree.root.children.allSatisfy { $0.name == "chosen" }
        if isBare, forms.allSatisfy({ tree.root[$0] == nil }) {
            for form in forms { tree.root.put(form, [0, 0, 0, 2]) }
        }
        var chosen = tree.root.child("chosen") ?? DeviceTree.Node(name: "chosen")
        chosen.properties.removeAll { ARM64Load.others.contains($0.name) }
        chosen.put("bootargs", Array(files.commandLine.utf8) + [0])
        if let initrd {
            chosen.put("linux,initrd-start", ARM64Load.bytes(initrd.start))
            chosen.put("linux,initrd-end", ARM64Load.bytes(initrd.end))
        }
        let form = ARM64DeviceTree(tree: tree)
        chosen.put("linux,elfcorehdr", try form.encoded(header))
        // A kernel takes the first as its own and the second as its memory for DMA.
        let usable = [place.hole] + place.reserved.filter { $0 != place.hole }.prefix(1)
        var pairs: [UInt8] = []
        for range in usable { pairs += try form.encoded(range) }
        chosen.put("linux,usable-memory-range", pairs)
        tree.root.children.removeAll { $0.name == "chosen" }
        tree.root.children.append(chosen)
        tree.reservations.removeAll { $0 == old }
        tree.reservations += [header] + (initrd.map { [$0] } ?? [])
        let range = try take(
            ARM64Load.size(of: tree) + ARM64Load.treeGrowth, fromTop: true, for: "the device tree")
        guard let bytes = try? tree.encoded(in: Int(range.byteCount)),
            bytes.count <= ARM64Residence.largestTree
        else { throw .imageNotUnderstood(because: "its device tree is too large") }
        return .init(range: range, bytes: bytes)
    }

    /// How many bytes a tree takes.
    private static func size(of tree: DeviceTree) -> UInt64 {
        do throws(DeviceTree.Oversize) {
            return UInt64(try tree.encoded(in: 0).count)
        } catch {
            return UInt64(error.needed)
        }
    }

    private static func bytes(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        return bytes
    }
}
