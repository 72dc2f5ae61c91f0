// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// 64-bit RISC-V.
    ///
    /// The kernel's purgatory checks the digest (arch/riscv/purgatory/entry.S). Its core headers leave
    /// out the range that the image is in, and not the low one that `crashkernel=…,high` reserves
    /// (arch/riscv/kernel/machine_kexec_file.c, `prepare_elf_headers`). Nothing else is known here, so
    /// images are reloaded and not patched.
    package static let riscv64 = Architecture(
        name: "riscv64", number: 243, listedReserve: .low)
}
