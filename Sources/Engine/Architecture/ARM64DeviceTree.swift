// SPDX-License-Identifier: Apache-2.0

/// What the device tree of a crash image tells a capture kernel on arm64.
///
/// Machines with ACPI have one, too: it is then little more than `/chosen`. The loader adds the
/// command line, the initrd, the place of the core header and the memory that the capture kernel
/// may use (drivers/of/kexec.c; kexec-tools' kexec-arm64.c, `setup_2nd_dtb`).
struct ARM64DeviceTree {
    var tree: DeviceTree

    private static let headerName = "linux,elfcorehdr"

    /// What the tree says, if it lies at the physical address `start`.
    func bootData(at start: UInt64) -> Architecture.BootData {
        guard let line = chosen?["bootargs"] else {
            return .unusable(because: "its device tree has no command line")
        }
        guard let header else {
            return .unusable(because: "its device tree does not say where the core header is")
        }
        var data = Architecture.BootData(
            commandLine: start + UInt64(line.place), longestCommandLine: UInt64(line.value.count),
            initrd: initrd?.start ?? 0, tree: tree)
        data.coreHeader = header
        // What the property names is reserved as well (drivers/of/fdt.c, `fdt_reserve_elfcorehdr`).
        data.spared = AddressRanges(tree.reservations + [header])
        return data
    }

    private var chosen: DeviceTree.Node? { tree.root.child("chosen") }

    /// The core header, with all the room that is reserved for it; `nil` if none is named.
    var header: AddressRange? {
        guard let bytes = chosen?[ARM64DeviceTree.headerName]?.value,
            let (start, size) = pair(bytes), size > 0
        else { return nil }
        let (end, overflow) = start.addingReportingOverflow(size)
        return overflow ? nil : AddressRange(start: start, end: end)
    }

    /// The initrd; `nil` if there is none.
    var initrd: AddressRange? {
        guard let start = chosen?["linux,initrd-start"]?.number,
            let end = chosen?["linux,initrd-end"]?.number, start < end
        else { return nil }
        return AddressRange(start: start, end: end)
    }

    /// How many cells of 32 bits an address and a size have in the tree, one or two each; `nil` if they
    /// have others.
    ///
    /// Without a word they have one, says Linux (include/linux/of.h).
    private var cells: (address: Int, size: Int)? {
        let numbers = ["#address-cells", "#size-cells"].map { name in
            tree.root[name].map { $0.value.bigEndianWord(at: 0).map { Int($0) } ?? 0 } ?? 1
        }
        return numbers.allSatisfy { 1...2 ~= $0 } ? (numbers[0], numbers[1]) : nil
    }

    /// Address and size; other forms are not known here.
    ///
    /// Loaders write two cells each, or one, and not always as many as the tree says.
    private func pair(_ bytes: [UInt8]) -> (UInt64, UInt64)? {
        func number(at offset: Int, cells: Int) -> UInt64? {
            cells == 2
                ? bytes.bigEndianDouble(at: offset)
                : bytes.bigEndianWord(at: offset).map { UInt64($0) }
        }
        let form: (address: Int, size: Int)
        switch bytes.count {
        case 8: form = (1, 1)
        case 16: form = (2, 2)
        case 12:
            guard let cells, cells.address + cells.size == 3 else { return nil }
            form = cells
        default: return nil
        }
        guard let start = number(at: 0, cells: form.address),
            let size = number(at: 4 * form.address, cells: form.size)
        else { return nil }
        return (start, size)
    }

    /// Writes an address and a size as the tree has them.
    ///
    /// - Throws: That it cannot say it.
    func encoded(_ range: AddressRange) throws(PatchObstacle) -> [UInt8] {
        guard let cells else {
            throw .imageNotUnderstood(because: "its device tree has addresses of an unknown size")
        }
        return try ARM64DeviceTree.encoded(range, cells)
    }

    private static func encoded(
        _ range: AddressRange, _ form: (address: Int, size: Int)
    ) throws(PatchObstacle) -> [UInt8] {
        var value: [UInt8] = []
        for (number, cells) in [(range.start, form.address), (range.byteCount, form.size)] {
            if cells == 2 {
                value.append(bigEndian: number)
                continue
            }
            guard let word = UInt32(exactly: number) else {
                throw .imageNotUnderstood(because: "its device tree has no addresses above 4 GiB")
            }
            value.append(bigEndian: word)
        }
        return value
    }

    /// Names a place of the core header, and reserves it where the old one was.
    ///
    /// - Throws: That the tree cannot say it.
    mutating func name(header new: AddressRange) throws(PatchObstacle) {
        guard let index = tree.root.children.firstIndex(where: { $0.name == "chosen" }),
            let property = tree.root.children[index][ARM64DeviceTree.headerName],
            let old = header
        else {
            throw .imageNotUnderstood(
                because: "its device tree does not say where the core header is")
        }
        let value =
            switch property.value.count {
            case 8: try ARM64DeviceTree.encoded(new, (1, 1))
            case 16: try ARM64DeviceTree.encoded(new, (2, 2))
            default: try encoded(new)
            }
        tree.root.children[index].set(ARM64DeviceTree.headerName, to: value)
        let isReserved = tree.reservations.contains { old.start <= $0.start && $0.end <= old.end }
        if isReserved { tree.reserve(new, insteadOf: old) }
    }
}
