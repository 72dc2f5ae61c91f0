// SPDX-License-Identifier: Apache-2.0

/// Where the running kernel is in memory, by physical and by virtual addresses, as it says itself
/// in the header of `/proc/kcore`.
///
/// Both are drawn at random at each boot, so they are read and not known. With them a core header
/// can be judged, and made without another one.
struct KernelMapping: Hashable {
    /// The kernel's code and variables.
    let text: CoreHeader.Entry
    /// The virtual address of the RAM at physical address 0, where the kernel maps all RAM.
    let directMap: UInt64
    /// All RAM, reserved memory included.
    let ram: AddressRanges

    /// Finds it in the entries of `/proc/kcore` that have a physical address (fs/proc/kcore.c,
    /// `proc_kcore_text_init`): RAM, all of it equally far away, and once more the kernel's own;
    /// `nil` if they are something else.
    init?(_ entries: [CoreHeader.Entry]) {
        let entries = entries.filter { $0.kind == .memory && $0.physical != .max }
        var sizes: [UInt64: UInt64] = [:]
        for entry in entries {
            sizes[entry.virtual &- entry.physical, default: 0] &+= entry.memorySize
        }
        guard let directMap = sizes.max(by: { $0.value < $1.value })?.key else { return nil }
        let isRAM = { (entry: CoreHeader.Entry) in entry.virtual &- entry.physical == directMap }
        let ram = AddressRanges(entries.filter(isRAM).map(\.range))
        let others = entries.filter { !isRAM($0) }
        guard others.count == 1, let text = others.first, text.range.byteCount > 0,
            ram.contains(text.range)
        else { return nil }
        (self.text, self.directMap, self.ram) = (text, directMap, ram)
    }

    /// Why a capture kernel could not read memory by a core header; `nil` if nothing is known
    /// against it.
    ///
    /// kexec-tools makes such headers where it does not find a symbol of the kernel: then the
    /// kernel's own range has any address and size, and RAM has virtual addresses that are the
    /// physical ones (kexec/crashdump-elf.c). The capture kernel checks neither.
    func flaw(of header: CoreHeader) -> String? {
        let memory = header.entries.filter { $0.kind == .memory }
        let isImpossible = memory.contains { entry in
            let special = entry.virtual &- entry.physical != directMap
            let overflows =
                entry.physical.addingReportingOverflow(entry.memorySize).overflow
                || entry.offset.addingReportingOverflow(entry.fileSize).overflow
                || entry.virtual.addingReportingOverflow(entry.memorySize).overflow
            // RAM that was unplugged is a phantom, and no reason to doubt the rest.
            return overflows || special && !ram.contains(entry.range)
        }
        if isImpossible {
            return
                "its core header has an impossible range, so the capture kernel will crash reading it"
        }
        let described = CoreDescription(of: header, kernelNote: nil)
        guard described.ram.isEmpty || described.directMap == directMap else {
            return
                "its core header gives memory impossible virtual addresses, so the capture kernel"
                + " will crash reading it"
        }
        return nil
    }
}
