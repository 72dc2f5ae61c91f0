// SPDX-License-Identifier: Apache-2.0

/// The two pages that a kernel takes for itself when it loads a crash image on POWER; pure.
///
/// They are the lowest ones of reserved memory that no *listed* segment covers (kernel/kexec_core.c,
/// `kimage_alloc_crash_control_pages`). So where they will be is computed, and where they are is
/// recognised, from the list alone.
struct POWERControlPages: Equatable {
    /// The one for code, which is taken and never written: this architecture has no such code
    /// (arch/powerpc/kernel/misc_64.S, `kexec_sequence`: "control, unused").
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
}
