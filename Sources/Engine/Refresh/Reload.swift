// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A reload that has passed every check which can be made while the old image is still loaded.
///
/// Preparing one opens both files, holding them reads them into memory, and neither drops anything;
/// `run()` is the one moment of danger. It does not decide whether a reload is wanted, and does not repeat itself.
struct Reload {
    private let kernel: ImageFile
    private let initrd: ImageFile?
    private let commandLine: String
    /// The kernel's path, where the load must be rehearsed because the machine is locked down.
    private let rehearsal: String?

    /// What a load puts beside kernel and initrd, in bytes.
    ///
    /// A core header that can grow (under 1 MiB: 8192 ranges of 56 bytes and a note for each
    /// possible CPU), purgatory, boot parameters and page tables (together under 1 MiB), and the
    /// kernel's alignment of 2 MiB (CONFIG_PHYSICAL_ALIGN of the distributions).
    private static let overhead: UInt64 = 4 << 20

    /// Prepares to load `source` in place of what was seen.
    ///
    /// - Throws: The first obstacle found.
    static func prepare(
        _ source: ImageSource?, insteadOf seen: Observation
    ) throws(Obstacle) -> Reload {
        let support = seen.support
        if support.loadingDisabled { throw .loadingDisabled }
        if support.loadsLeft == 0 { throw .noLoadsLeft }
        guard let source else { throw .noSource }
        let commandLine = try commandLine(of: source, insteadOf: seen)
        let kernel = try ImageFile(.kernel, at: source.kernel)
        let initrd = try source.initrd.map { path throws(Obstacle) in
            try ImageFile(.initrd, at: path)
        }
        let prefix = try kernel.prefix(KernelFormat.prefixSize)
        guard let format = KernelFormat(prefix: prefix, for: seen.architecture) else {
            throw .notAKernel(path: source.kernel)
        }
        let isLockedDown = support.lockdown != .none
        if isLockedDown && !format.isSigned { throw .unsigned(path: source.kernel) }
        if isLockedDown && support.isRebootPrepared { throw .untried(path: source.kernel) }
        let length = commandLine.utf8.count
        if let limit = format.commandLineLimit, length > limit {
            throw .commandLineTooLong(length: length, limit: limit)
        }
        let needed = max(format.memory, kernel.size) + (initrd?.size ?? 0) + overhead
        if let room = seen.reserved.value?.map(\.byteCount).max(), needed > room {
            throw .tooLarge(needed: needed, reserved: room)
        }
        return Reload(
            kernel: kernel, initrd: initrd, commandLine: commandLine,
            rehearsal: isLockedDown ? source.kernel : nil)
    }

    /// The command line: the one that was named, else that of the image that is loaded; and behind
    /// it whatever it lacks on this machine.
    private static func commandLine(
        of source: ImageSource, insteadOf seen: Observation
    ) throws(Obstacle) -> String {
        let named: String
        switch (source.commandLine, seen.image?.commandLine) {
        case (.some(let text), _): named = text
        case (nil, .known(let text)): named = ResidentCommandLine.administrators(text)
        case (nil, .unknown(let reason)): throw .noCommandLine(because: reason)
        case (nil, nil): throw .noCommandLine(because: "no image could be read")
        }
        let lacks = CaptureNeed.lacking(in: named, on: seen.hotplugMemory)
        return ResidentCommandLine.completing(named, with: lacks.map(\.need))
    }

    /// Makes both files ready for the moment of danger.
    ///
    /// - Throws: The obstacle that one of them is.
    func hold() throws(Obstacle) {
        try kernel.hold()
        try initrd?.hold()
        guard let path = rehearsal else { return }
        // A refusal after the drop would cost the image in place. The rehearsal holds the kexec lock
        // as long as a load does; it is worth that only where refusal is likely.
        let refusal = Kexec.rehearse(kernel: kernel.descriptor)
        if refusal != 0 && refusal != EBUSY {
            throw .refused(path: path, because: SystemError.words(for: refusal))
        }
    }

    /// Loads the prepared files over whatever is loaded.
    func run() -> Kexec.Attempt {
        // A file closes with its last reference, and the kernel reads both to the end of the call.
        withExtendedLifetime((kernel, initrd)) {
            Kexec.loadFile(
                kernel: kernel.descriptor, initrd: initrd?.descriptor, commandLine: commandLine)
        }
    }
}
