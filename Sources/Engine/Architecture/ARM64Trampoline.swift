// SPDX-License-Identifier: Apache-2.0

/// The page that a patch makes the entry of an image which `kexec_file_load` has loaded on arm64;
/// pure.
///
/// A kernel is started with the address of its device tree in a register. `kexec_file_load` notes
/// that address in `struct kimage`, `kexec_load` cannot: so a patched image needs code that fetches
/// it. The page also says where the parts of the image are, because a patch does not list them: a
/// daemon that starts anew finds them here.
struct ARM64Trampoline: Hashable {
    /// The address of the capture kernel, to which it jumps.
    let kernel: UInt64
    /// The address of the device tree.
    let tree: UInt64
    /// The address of the core header.
    let header: UInt64
    /// The address of the initrd; 0 if there is none.
    let initrd: UInt64

    /// How many bytes it has.
    static let byteCount = 0x50
    /// What tells it from anything else; its code alone could be another program's.
    private static let magic = Array("kdump-hotplugd 1".utf8)
    private static let magicPlace = 0x20
    /// Where the numbers are; the code names the first two.
    private static let numbers = 0x30

    /// `ldr x0, tree; ldr x16, kernel; mov x1, xzr; mov x2, xzr; mov x3, xzr; br x16`, and padding:
    /// the registers that a kernel expects (Documentation/arch/arm64/booting.rst, "Call the kernel
    /// image").
    private static let code: [UInt32] = [
        0x5800_01C0, 0x5800_0170, 0xAA1F_03E1, 0xAA1F_03E2, 0xAA1F_03E3, 0xD61F_0200,
        ARM64Image.nothing, ARM64Image.nothing,
    ]

    private static let head: [UInt8] = {
        var bytes: [UInt8] = []
        for instruction in code { bytes.append(littleEndian: instruction) }
        return bytes + magic
    }()

    /// The bytes of the page; zeros follow.
    var bytes: [UInt8] {
        var bytes = ARM64Trampoline.head
        for number in [kernel, tree, header, initrd] { bytes.append(littleEndian: number) }
        return bytes
    }
}

extension ARM64Trampoline {
    /// Reads one at the start of `bytes`; `nil` if there is none.
    init?(_ bytes: [UInt8]) {
        guard bytes.starts(with: ARM64Trampoline.head) else { return nil }
        let numbers = stride(from: ARM64Trampoline.numbers, to: ARM64Trampoline.byteCount, by: 8)
            .compactMap { bytes.double(at: $0) }
        guard numbers.count == 4 else { return nil }
        (kernel, tree, header, initrd) = (numbers[0], numbers[1], numbers[2], numbers[3])
    }
}
