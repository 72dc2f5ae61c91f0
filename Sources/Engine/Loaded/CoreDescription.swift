// SPDX-License-Identifier: Apache-2.0

/// What a core header says about a machine: its RAM, where its CPUs save their registers, and the
/// rest.
package struct CoreDescription: Hashable {
    /// The RAM that a dump would hold, without entries that repeat or replace some of it.
    package let ram: AddressRanges
    /// The physical addresses of the CPUs' notes, in the order of the header.
    package let cpuNotes: [UInt64]
    /// The entry of the note that describes the kernel to readers of a dump (vmcoreinfo).
    package let kernelNote: CoreHeader.Entry?
    /// The entries that show memory at another address than its own, unchanged.
    ///
    /// There are two kinds: the kernel's text, which is RAM listed a second time at its link
    /// address, and the backup of the first 640 KiB or 64 KiB in images of kexec-tools, whose bytes
    /// are elsewhere.
    package let special: [CoreHeader.Entry]
    /// The virtual address of the RAM at physical address 0.
    package let directMap: UInt64

    /// Describes what `header` says.
    ///
    /// `kernelNote` is the address of that note from `/sys/kernel/vmcoreinfo`. Without it the last
    /// note is used, which it is in every header (kernel/crash_core.c, kexec-tools'
    /// crashdump-elf.c).
    package init(of header: CoreHeader, kernelNote address: UInt64?) {
        let notes = header.entries.filter { $0.kind == .note }
        let kernelNote = notes.last { $0.physical == address } ?? notes.last
        self.kernelNote = kernelNote
        cpuNotes = notes.map(\.physical).filter { $0 != kernelNote?.physical }
        let memory = header.entries.filter { $0.kind == .memory }
        let plain = memory.filter { $0.offset == $0.physical }
        let directMap = CoreDescription.commonDistance(of: plain)
        let mapped = AddressRanges(plain.filter { $0.distance == directMap }.map(\.range))
        let isRAM: (CoreHeader.Entry) -> Bool = { entry in
            entry.offset == entry.physical
                && (entry.distance == directMap || !mapped.contains(entry.range))
        }
        special = memory.filter { !isRAM($0) }
        ram = AddressRanges(memory.filter(isRAM).map(\.range))
        self.directMap = directMap
    }

    /// The distance between virtual and physical addresses that applies to the most bytes.
    private static func commonDistance(of entries: [CoreHeader.Entry]) -> UInt64 {
        var sizes: [UInt64: UInt64] = [:]
        for entry in entries {
            let (sum, overflow) = sizes[entry.distance, default: 0]
                .addingReportingOverflow(entry.range.byteCount)
            sizes[entry.distance] = overflow ? .max : sum
        }
        // Of two equal ones the lower, so that the result is always the same.
        return sizes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? 0
    }
}

extension CoreHeader.Entry {
    /// How far the virtual address is above the physical one.
    fileprivate var distance: UInt64 { virtual &- physical }
}
