// SPDX-License-Identifier: Apache-2.0

/// The beginning of an uncompressed kernel for arm64, in its file and in memory
/// (Documentation/arch/arm64/booting.rst; arch/arm64/kernel/head.S).
///
/// It says how much memory the kernel takes, and it is the only part that a kernel can be
/// recognised by. It reads no file and no memory.
struct ARM64Image {
    /// How many bytes the kernel takes from here on, its variables included.
    let byteCount: UInt64

    /// How many bytes tell.
    static let headerSize = 64
    /// How much of a kernel precedes its code: after the header there is only padding, because code
    /// begins at the next multiple of the largest page (arch/arm64/kernel/vmlinux.lds.S, `_stext`).
    static let padding: UInt64 = 64 << 10
    /// What the padding consists of: the instruction that does nothing.
    static let nothing: UInt32 = 0xD503_201F
    /// Kernels are loaded at multiples of this (MIN_KIMG_ALIGN).
    static let alignment: UInt64 = 2 << 20
    /// No kernel is larger.
    private static let largest: UInt64 = 1 << 30

    /// Reads the header that `bytes` begin with; `nil` if there is none.
    ///
    /// Kernels before 5.8, which do not begin where they are loaded but behind a gap, count as
    /// none.
    init?(_ bytes: [UInt8]) {
        guard bytes.word(at: 56) == 0x644D_5241, bytes.double(at: 8) == 0,
            let size = bytes.double(at: 16), size > ARM64Image.padding,
            size <= ARM64Image.largest
        else { return nil }
        byteCount = size
    }
}
