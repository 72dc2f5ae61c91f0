// SPDX-License-Identifier: Apache-2.0

/// What a loader tells an x86 kernel: `struct boot_params`, the "zero page".
///
/// Only where the command line and the initrd lie is read (Documentation/arch/x86/boot.rst and
/// zero-page.rst). Both loaders put it at the beginning of a segment of its own.
struct BootParameters: Equatable {
    /// The physical address of the command line.
    let commandLine: UInt64
    /// The physical address of the initrd; 0 where there is none.
    let initrd: UInt64

    /// How many bytes hold all that is read.
    static let byteCount = 0x268
    /// COMMAND_LINE_SIZE of arch/x86/include/asm/setup.h, the terminating NUL included.
    static let longestCommandLine = 2048

    /// Reads the structure that `bytes` begin with, or returns `nil` where they begin none.
    init?(_ bytes: [UInt8]) {
        let magic: UInt32 = 0x5372_6448  // "HdrS"
        // The boot flag 0xAA55 before it is no help: kexec-tools writes over its second byte.
        let firstVersionWithHighAddresses: UInt16 = 0x020C
        guard bytes.word(at: 0x202) == magic,
            let version = bytes.half(at: 0x206), version >= firstVersionWithHighAddresses,
            let line = bytes.word(at: 0x228), let highLine = bytes.word(at: 0xC8),
            let initrd = bytes.word(at: 0x218), let highInitrd = bytes.word(at: 0xC0)
        else { return nil }
        commandLine = UInt64(highLine) << 32 | UInt64(line)
        self.initrd = UInt64(highInitrd) << 32 | UInt64(initrd)
    }

    /// Returns the address that `elfcorehdr=` names in a command line, or `nil` where none is named.
    ///
    /// The form is `elfcorehdr=[size@]address`, each with an optional K, M or G; the last one counts
    /// (kernel/crash_dump.c, `setup_elfcorehdr`).
    static func coreHeader(in commandLine: String) -> UInt64? {
        let key = "elfcorehdr="
        guard let parameter = commandLine.split(separator: " ").last(where: { $0.hasPrefix(key) })
        else { return nil }
        return parameter.dropFirst(key.count).split(separator: "@").last.flatMap(number)
    }

    /// Reads a number as the kernel's `memparse` does: hexadecimal after 0x, with a unit.
    private static func number(_ text: Substring) -> UInt64? {
        let units: [Character: UInt64] = ["K": 10, "M": 20, "G": 30]
        let shift = text.last.flatMap { units[Character($0.uppercased())] }
        var digits = shift == nil ? text : text.dropLast()
        let isHexadecimal = digits.hasPrefix("0x")
        if isHexadecimal { digits = digits.dropFirst(2) }
        guard let number = UInt64(digits, radix: isHexadecimal ? 16 : 10) else { return nil }
        return number << (shift ?? 0)
    }
}
