// SPDX-License-Identifier: Apache-2.0

/// What the first bytes of a kernel file say: whether it is a kernel, and what it needs.
///
/// Only what `kexec_file_load` would reject after it has dropped the old image is checked here; the
/// rest is the kernel's business. It parses the bytes it is given and reads no file.
package struct KernelFormat: Equatable {
    /// How many bytes of a file are enough: the headers of every kernel format, and a PE header,
    /// end within the first 4 KiB.
    package static let prefixSize = 4096

    /// What a kernel needs from the machine, and what it accepts from its loader.
    struct Needs: Equatable {
        /// The memory that it needs before it frees anything, in bytes; 0 if the format does not
        /// say.
        let memory: UInt64
        /// The longest command line in bytes; `nil` if the format does not say.
        let commandLineLimit: Int?
        /// Which build it is; `nil` where the format is silent.
        var build: KernelBuild?
    }

    /// What the kernel needs.
    let needs: Needs
    /// Whether the file has a signature, with whatever key.
    package let isSigned: Bool

    /// Reads a format from a file's first bytes, or returns `nil` if they are not the start of a
    /// kernel that `architecture` can load.
    package init?(prefix: [UInt8], for architecture: Architecture) {
        guard let needs = architecture.kernelNeeds(prefix) else { return nil }
        self.needs = needs
        isSigned = KernelFormat.hasSignature(prefix)
    }

    /// Whether a PE file's certificate table (data directory 4) holds anything.
    private static func hasSignature(_ bytes: [UInt8]) -> Bool {
        guard bytes.half(at: 0) == 0x5A4D, let header = bytes.word(at: 0x3C),
            bytes.word(at: Int(header)) == 0x0000_4550
        else { return false }
        let optionalHeader = Int(header) + 24
        guard bytes.half(at: optionalHeader) == 0x020B else { return false }
        return (bytes.word(at: optionalHeader + 112 + 4 * 8 + 4) ?? 0) > 0
    }
}
