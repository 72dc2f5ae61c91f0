// SPDX-License-Identifier: Apache-2.0

/// The two pages that a kernel takes for itself when it loads a crash image on POWER and arm64; pure.
///
/// They are the lowest ones of reserved memory that no *listed* segment covers (kernel/kexec_core.c,
/// `kimage_alloc_crash_control_pages`). So where they will be is computed, and where they are is
/// recognised, from the list alone. On x86 there are more, for page tables.
struct ControlPages: Equatable {
    /// The one for code, which is taken and never written: POWER has no such code
    /// (arch/powerpc/kernel/misc_64.S, `kexec_sequence`: "control, unused"), and arm64 copies its own
    /// only for images that are moved at the end, which crash images are not
    /// (arch/arm64/kernel/machine_kexec.c, `machine_kexec_post_load`; before 5.16 for all, but such
    /// kernels hide the image, so they are not patched).
    let code: AddressRange
    /// The one for a copy of vmcoreinfo, which is written at the load and at the crash.
    let note: AddressRange

    /// Finds them beside what is `listed` in `hole`; `nil` if there is no room.
    init?(beside listed: AddressRanges, in hole: AddressRange, pageSize: UInt64) {
        var pages: [AddressRange] = []
        for free in AddressRanges([hole]).subtracting(listed).ranges {
            var start = (free.start + pageSize - 1) / pageSize * pageSize
            while pages.count < 2, start < free.end, free.end - start >= pageSize {
                pages.append(AddressRange(start: start, end: start + pageSize))
                start += pageSize
            }
        }
        guard pages.count == 2 else { return nil }
        (code, note) = (pages[0], pages[1])
    }

    /// Which pages such a kernel writes: the value of `Architecture.Patching.written`.
    static func written(
        beside listed: AddressRanges, in hole: AddressRange, pageSize: UInt64
    ) -> AddressRanges {
        let pages = ControlPages(beside: listed, in: hole, pageSize: pageSize)
        return AddressRanges(pages.map { [$0.note] } ?? [])
    }
}
