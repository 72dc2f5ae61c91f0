// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// 64-bit little-endian POWER.
    ///
    /// A core header lists the first 64 KiB as a backup and not as RAM, and in addition what the
    /// firmware keeps in reserved memory (arch/powerpc/kexec/ranges.c, `get_crash_memory_ranges`).
    /// kexec-tools' purgatory checks the digest; the kernel's has room for one and never checks it
    /// (arch/powerpc/purgatory/trampoline_64.S). A kernel file is an ELF64 little-endian vmlinux
    /// (arch/powerpc/kexec/elf_64.c). A patch would have to change the device tree as well, which is
    /// not done yet, so images are reloaded and not patched.
    package static let power = Architecture(
        name: "ppc64le", number: 21,
        ramOutsideDumps: AddressRanges([AddressRange(start: 0, end: 64 << 10)]),
        listedReserve: .anything, digestCheck: .onlyInImages(of: .program),
        bootData: { segment, kcore throws(Unknowable) in
            try POWERDeviceTree.bootData(segment, in: kcore)
        },
        kernelNeeds: { bytes in
            guard bytes.word(at: 0) == 0x464C_457F, bytes.half(at: 4) == 0x0102,
                bytes.half(at: 18) == 21
            else { return nil }
            return KernelFormat.Needs(memory: 0, commandLineLimit: nil)
        })
}
