// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// 64-bit Arm.
    ///
    /// kexec-tools' purgatory checks a digest; the kernel's own loader makes neither. A kernel file
    /// has "ARM\x64" at offset 56 and the memory it needs, in bytes, at 16
    /// (Documentation/arch/arm64/booting.rst). The command line is in the device tree, which is not
    /// read yet, so images are reloaded and not patched.
    package static let arm64 = Architecture(
        name: "aarch64", number: 183, digestCheck: .onlyInImages(of: .program),
        kernelNeeds: { bytes in
            guard bytes.word(at: 56) == 0x644D_5241 else { return nil }
            return KernelFormat.Needs(memory: bytes.double(at: 16) ?? 0, commandLineLimit: nil)
        })
}
