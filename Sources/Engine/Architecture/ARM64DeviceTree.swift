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
            let (start, size) = ARM64DeviceTree.pair(bytes), size > 0
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

    /// Address and size, of one or two cells each; other forms are not known here.
    private static func pair(_ bytes: [UInt8]) -> (UInt64, UInt64)? {
        switch bytes.count {
        case 8:
            guard let start = bytes.bigEndianWord(at: 0), let size = bytes.bigEndianWord(at: 4)
            else { return nil }
            return (UInt64(start), UInt64(size))
        case 16:
            guard let start = bytes.bigEndianDouble(at: 0), let size = bytes.bigEndianDouble(at: 8)
            else { return nil }
            return (start, size)
        default: return nil
        }
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
        var value: [UInt8] = []
        if property.value.count == 16 {
            value.append(bigEndian: new.start)
            value.append(bigEndian: new.byteCount)
        } else {
            guard let start = UInt32(exactly: new.start), let size = UInt32(exactly: new.byteCount)
            else {
                throw .imageNotUnderstood(because: "its device tree has no addresses above 4 GiB")
            }
            value.append(bigEndian: start)
            value.append(bigEndian: size)
        }
        tree.root.children[index].set(ARM64DeviceTree.headerName, to: value)
        let isReserved = tree.reservations.contains { old.start <= $0.start && $0.end <= old.end }
        if isReserved { tree.reserve(new, insteadOf: old) }
    }
}
