// SPDX-License-Identifier: Apache-2.0

extension Architecture {
    /// 64-bit RISC-V.
    ///
    /// The kernel's purgatory checks the digest (arch/riscv/purgatory/entry.S). Nothing else is
    /// known here, so images are reloaded and not patched.
    package static let riscv64 = Architecture(name: "riscv64", number: 243)
}
