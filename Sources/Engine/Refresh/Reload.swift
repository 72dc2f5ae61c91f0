// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A reload that has passed every check which can be made while the old image is still loaded.
///
/// Preparing one opens both files, holding them reads them into memory, and neither drops anything;
/// `run()` is the one moment of danger. It does not decide whether a reload is wanted, and does not
/// retry.
struct Reload {
    private let kernel: ImageFile
    private let initrd: ImageFile?
    /// The capture kernel's, without `elfcorehdr=`.
    let commandLine: String
    /// The kernel's path, where the load must be rehearsed because the machine is locked down.
    private let rehearsal: String?

    /// Prepares to load what is configured in place of what was seen.
    ///
    /// `remembered` is the command line of the last image that could be read.
    /// - Throws: The first obstacle found; it may be that nothing was `found` to be configured.
    static func prepare(
        _ found: Result<Configuration, Obstacle>, remembered: String?, insteadOf seen: Observation
    ) throws(Obstacle) -> Reload {
        let support = seen.support
        if support.loadingDisabled { throw .loadingDisabled }
        if support.loadsLeft == 0 { throw .noLoadsLeft }
        // The tool has removed them from where the kernel takes them, and a dump cannot be written
        // without them: what is in place is worth more, also where it has to be called stale.
        if seen.image?.holdsTargetKeys == true { throw .encryptedTarget }
        let configuration = try found.get()
        let source = configuration.source
        let commandLine = try commandLine(configuration, remembered: remembered, insteadOf: seen)
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
        if let limit = format.needs.commandLineLimit, length > limit {
            throw .commandLineTooLong(length: length, limit: limit)
        }
        let needed =
            max(format.needs.memory, kernel.size) + (initrd?.size ?? 0)
            + seen.architecture.loadOverhead
        if let room = seen.reserved.value?.map(\.byteCount).max(), needed > room {
            throw .tooLarge(needed: needed, reserved: room)
        }
        return Reload(
            kernel: kernel, initrd: initrd, commandLine: commandLine,
            rehearsal: isLockedDown ? source.kernel : nil)
    }

    /// The command line: the one that was named, else that of the image that is loaded, else of the
    /// last one that was, else the distribution's; and behind it whatever it lacks on this machine.
    private static func commandLine(
        _ configuration: Configuration, remembered: String?, insteadOf seen: Observation
    ) throws(Obstacle) -> String {
        let resident = seen.image?.commandLine
        let text: String
        if let named = configuration.source.commandLine {
            text = named
        } else if let known = resident?.value {
            text = ResidentCommandLine.administrators(known)
        } else if let known = remembered ?? configuration.commandLine.value {
            text = known
        } else {
            throw .noCommandLine(because: reason(configuration.commandLine, resident))
        }
        let lacks = CaptureNeed.lacking(in: text, on: seen.hotplugMemory)
        return ResidentCommandLine.completing(text, with: lacks.map(\.need))
    }

    /// Why a command line is not known.
    private static func reason(_ facts: Fact<String>?...) -> String {
        for case .unknown(let reason)? in facts { return reason }
        return "no image could be read"
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
