// SPDX-License-Identifier: Apache-2.0

/// The setup header of x86's boot protocol (Documentation/arch/x86/boot.rst).
///
/// It is at the same offset in a kernel file, where it says what the kernel needs, and in `struct
/// boot_params`, the page in which a loader passes data to the kernel (zero-page.rst). Both loaders
/// put that page at the start of its own segment.
struct X86SetupHeader {
    private let bytes: [UInt8]

    /// How many bytes are needed to read it.
    static let byteCount = 0x268
    /// COMMAND_LINE_SIZE of arch/x86/include/asm/setup.h, the terminating NUL included.
    private static let longestCommandLine: UInt64 = 2048
    /// MAX_ELFCOREHDR_STR_LEN of arch/x86/kernel/kexec-bzimage64.c: the kernel puts "elfcorehdr=0x…
    /// " before the command line.
    private static let coreHeaderParameter = 30

    /// Looks for a header in the first bytes of a file or a segment; `nil` if there is none.
    init?(_ bytes: [UInt8]) {
        let magic: UInt32 = 0x5372_6448  // "HdrS"
        // The first version with 64-bit addresses and with flags for loaders.
        let oldestVersion: UInt16 = 0x020C
        guard bytes.count >= X86SetupHeader.byteCount, bytes.word(at: 0x202) == magic,
            let version = bytes.half(at: 0x206), version >= oldestVersion
        else { return nil }
        self.bytes = bytes
    }

    /// What boot parameters say.
    ///
    /// The boot flag 0xAA55 is not checked: kexec-tools overwrites its second byte.
    var bootData: Architecture.BootData? {
        guard let line = bytes.word(at: 0x228), let highLine = bytes.word(at: 0xC8),
            let initrd = bytes.word(at: 0x218), let highInitrd = bytes.word(at: 0xC0)
        else { return nil }
        return Architecture.BootData(
            commandLine: UInt64(highLine) << 32 | UInt64(line),
            longestCommandLine: X86SetupHeader.longestCommandLine,
            initrd: UInt64(highInitrd) << 32 | UInt64(initrd), origin: origin)
    }

    /// Which files the image was made of that boot parameters belong to: its loader has copied the
    /// kernel file's header.
    private var origin: ImageOrigin? {
        guard let build, let size = bytes.word(at: 0x21C), let highSize = bytes.word(at: 0xC4)
        else { return nil }
        return ImageOrigin(build: build, initrdSize: UInt64(highSize) << 32 | UInt64(size))
    }

    /// Which build of the kernel it is: `setup_sects`, `syssize`, `payload_offset`, `payload_length`
    /// and `init_size`.
    private var build: KernelBuild? {
        let sectorSize: UInt64 = 512
        guard let paragraphs = bytes.word(at: 0x1F4), let payload = bytes.word(at: 0x248),
            let payloadSize = bytes.word(at: 0x24C), let unpackedSize = bytes.word(at: 0x260),
            payloadSize > 0
        else { return nil }
        return KernelBuild(
            sizes: [UInt64(paragraphs) * 16, UInt64(payloadSize), UInt64(unpackedSize)],
            head: (UInt64(bytes[0x1F1]) + 1) * sectorSize,
            unpacker: UInt64(payload) + UInt64(payloadSize))
    }

    /// What a kernel file says, by the rules of arch/x86/kernel/kexec-bzimage64.c,
    /// `bzImage64_probe`.
    var kernelNeeds: KernelFormat.Needs? {
        let kernel64AndAbove4G: UInt16 = 0b11
        guard bytes.half(at: 0x1FE) == 0xAA55, let flags = bytes.half(at: 0x236),
            flags & kernel64AndAbove4G == kernel64AndAbove4G,
            let limit = bytes.word(at: 0x238), let memory = bytes.word(at: 0x260)
        else { return nil }
        return KernelFormat.Needs(
            memory: UInt64(memory),
            commandLineLimit: max(0, Int(limit) - X86SetupHeader.coreHeaderParameter),
            build: build)
    }
}
