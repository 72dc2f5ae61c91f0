// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// 64-bit little-endian POWER.
    ///
    /// kexec-tools' purgatory checks the digest; the kernel's has room for one and never checks it
    /// (arch/powerpc/purgatory/trampoline_64.S). A kernel file is an ELF64 little-endian vmlinux
    /// (arch/powerpc/kexec/elf_64.c). The command line is in the device tree, which also changes
    /// with the CPUs; it is not read yet, so images are reloaded and not patched.
    package static let power = Architecture(
        name: "ppc64le", number: 21, digestCheck: .onlyInImages(of: .program),
        kernelNeeds: { bytes in
            guard bytes.word(at: 0) == 0x464C_457F, bytes.half(at: 4) == 0x0102,
                bytes.half(at: 18) == 21
            else { return nil }
            return KernelFormat.Needs(memory: 0, commandLineLimit: nil)
        })
}
