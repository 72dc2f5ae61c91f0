// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// 64-bit x86.
    ///
    /// A core header leaves out the first MiB, which belongs to the BIOS and the real mode
    /// trampoline (arch/x86/kernel/crash.c, `elf_header_exclude_ranges`). Every purgatory checks
    /// the digest. The kernel's own pages are page tables and a copy of vmcoreinfo. If the
    /// processor has no pages of 1 GiB, they are one page more for each GiB
    /// (arch/x86/kernel/machine_kexec_64.c, `init_pgtable`).
    package static let x86 = Architecture(
        name: "x86_64", number: 62,
        ramOutsideDumps: AddressRanges([AddressRange(start: 0, end: 1 << 20)]),
        bootData: { segment, _ in X86SetupHeader(segment.head)?.bootData },
        kernelNeeds: { X86SetupHeader($0)?.kernelNeeds },
        patching: Patching(
            pageSize: 4096,
            controlBytes: { live in
                live.ram.ranges.reduce(0) { $0 + ($1.byteCount >> 30) + 2 } * 4096
            },
            draft: { context throws(PatchObstacle) in
                Draft(edits: try HeaderPlan.edits(context))
            }))
}
