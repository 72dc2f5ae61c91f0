// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A reload that has passed every check which can be made while the old image is still loaded.
///
/// Preparing one opens both files, and holding them reads them into memory; neither drops anything.
/// `run()` is the moment of danger. It does not decide whether a reload is needed, and does not
/// retry.
struct Reload {
    private let kernel: ImageFile
    private let initrd: ImageFile?
    /// The capture kernel's, without `elfcorehdr=`.
    let commandLine: String
    /// How the files differ from those of the image in place; `nil` if they do not, or if that is
    /// unknown.
    let replacement: Replacement?
    /// What a trial of the files is about.
    let subject: Trial.Subject
    /// Whether the files must be tried first, because they may be refused and something would be lost.
    let needsTrial: Bool
    /// What makes an image of the files.
    var loader: Loader

    /// What makes an image of files.
    enum Loader {
        /// The kernel: `kexec_file_load`.
        case kernel
        /// This program, by `kexec_load`, because the kernel has no `kexec_file_load`.
        case own
        /// kexec(8), because this program cannot make the image either.
        case program
        /// Nothing, because the kernel does not, and kexec(8) is not installed.
        case missing
    }

    /// What earlier looks and loads of this boot have left for a reload.
    struct Memory {
        /// The command line of the last image that could be read.
        var commandLine: String?
        /// Which files the kernel has taken, and which it has refused.
        var trials = Trials()
        /// Finds the release of the kernel that is loaded, given its build.
        var release: (KernelBuild) -> String? = { _ in nil }
        /// What would make the image.
        var loader = Loader.kernel
    }

    /// Prepares to load what is configured in place of what was seen.
    ///
    /// - Throws: The first obstacle, which may be that no configuration was `found`.
    static func prepare(
        _ found: Result<Configuration, Obstacle>, remembering memory: Memory,
        insteadOf seen: Observation
    ) throws(Obstacle) -> Reload {
        let support = seen.support
        if support.loadingDisabled { throw .loadingDisabled }
        if support.loadsLeft == 0 { throw .noLoadsLeft }
        // The tool has removed them from where the kernel takes them, and a dump cannot be written
        // without them: what is in place is worth more, also where it has to be called stale.
        if seen.image?.holdsTargetKeys == true { throw .encryptedTarget }
        if memory.loader == .missing { throw .noLoader }
        // kexec_load has no signature that could satisfy it (kernel/kexec.c, kexec_load_check).
        if memory.loader != .kernel && support.lockdown != .none { throw .lockedDown }
        let configuration = try found.get()
        let source = configuration.source
        let kernel = try ImageFile(.kernel, at: source.kernel)
        let initrd = try source.initrd.map { path throws(Obstacle) in
            try ImageFile(.initrd, at: path)
        }
        let prefix = try kernel.bytes(KernelFormat.prefixSize)
        guard let format = KernelFormat(prefix: prefix, for: seen.architecture) else {
            throw .notAKernel(path: source.kernel)
        }
        if support.lockdown != .none && !format.isSigned { throw .unsigned(path: source.kernel) }
        let replacement = try replacement(
            of: seen.image, by: format, kernel, initrd, release: memory.release)
        let commandLine = try commandLine(
            configuration, remembered: memory.commandLine, insteadOf: seen,
            areFilesOthers: replacement != nil)
        try refuseWhatDoesNotFit(format, kernel, initrd, commandLine, into: seen)
        let subject = Trial.Subject(
            kernel: kernel.identity, initrd: initrd?.identity, lockdown: support.lockdown,
            hasAddedRules: support.hasAddedRules)
        let isOfTheseFiles =
            format.needs.build != nil && seen.image?.origin != nil && replacement == nil
        return Reload(
            kernel: kernel, initrd: initrd, commandLine: commandLine, replacement: replacement,
            subject: subject,
            needsTrial: try needsTrial(
                subject, memory, source.kernel, insteadOf: seen, isOfTheseFiles: isOfTheseFiles),
            loader: memory.loader)
    }

    /// Makes sure that the command line is not too long, and that all of it fits into reserved memory.
    ///
    /// - Throws: The obstacle that one of them is.
    private static func refuseWhatDoesNotFit(
        _ format: KernelFormat, _ kernel: ImageFile, _ initrd: ImageFile?, _ commandLine: String,
        into seen: Observation
    ) throws(Obstacle) {
        let length = commandLine.utf8.count
        if let limit = format.needs.commandLineLimit, length > limit {
            throw .commandLineTooLong(length: length, limit: limit)
        }
        let needed =
            max(format.needs.memory, kernel.size) + (initrd?.size ?? 0)
            + seen.architecture.loadOverhead
        if let room = seen.crashRange?.byteCount, needed > room {
            throw .tooLarge(needed: needed, reserved: room)
        }
    }

    /// Whether the kernel may refuse the files and that would lose an image.
    ///
    /// What it made itself of the same files, it has taken already, if no policy has become stricter since.
    /// What a program loads, no policy judges but lockdown, before anything is dropped.
    /// - Throws: That it has refused them, or that it cannot be tried whether it does.
    private static func needsTrial(
        _ subject: Trial.Subject, _ memory: Memory, _ path: String, insteadOf seen: Observation,
        isOfTheseFiles: Bool
    ) throws(Obstacle) -> Bool {
        if memory.loader == .own, let refusal = memory.trials.refusal(of: subject), refusal != 0 {
            throw .notMade(because: "kexec_load: \(SystemError.words(for: refusal))")
        }
        guard memory.loader == .kernel, seen.hasImageToLose else { return false }
        if let refusal = memory.trials.refusal(of: subject) {
            guard refusal == 0 else { throw obstacle(path, subject, after: refusal) }
            return false
        }
        if isOfTheseFiles && seen.image?.maker == .kernel && !subject.mayBeStricter {
            return false
        }
        if seen.support.isRebootPrepared {
            throw .untried(
                path: path, because: "a kernel for kexec reboot is loaded: unload it with kexec -u")
        }
        if seen.support.rebootLoadsAreCounted {
            throw .untried(path: path, because: "kernel.kexec_load_limit_reboot counts trials, too")
        }
        return true
    }

    /// How the files differ from those that `image` was made of.
    ///
    /// - Throws: The obstacle that an unreadable file is.
    private static func replacement(
        of image: ResidentImage?, by format: KernelFormat, _ kernel: ImageFile,
        _ initrd: ImageFile?, release: (KernelBuild) -> String?
    ) throws(Obstacle) -> Replacement? {
        guard let origin = image?.origin, let build = format.needs.build else { return nil }
        guard origin.build == build else {
            // Where it cannot be read, the release is left out and the kernel is another all the same.
            let code = try? kernel.bytes(
                Int(KernelBuild.reach), at: build.head + build.unpacker)
            return .kernel(
                resident: release(origin.build), configured: code.flatMap(KernelBuild.release))
        }
        let size = initrd?.size ?? 0
        return size == origin.initrdSize
            ? nil : .initrd(resident: origin.initrdSize, configured: size)
    }

    /// The command line: the configured one, else that of the loaded image, else that of the last
    /// image that could be read, else the distribution's; then the parameters that it lacks on this
    /// machine.
    ///
    /// If the files differ from the image's, the distribution's comes before that of the image: it
    /// belongs to them.
    private static func commandLine(
        _ configuration: Configuration, remembered: String?, insteadOf seen: Observation,
        areFilesOthers: Bool
    ) throws(Obstacle) -> String {
        let resident = seen.image?.commandLine
        let text: String
        if let named = configuration.source.commandLine {
            text = named
        } else if areFilesOthers, let own = configuration.commandLine.value {
            text = own
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

    /// Prepares both files for the moment of danger; `onProgress` is called after each MiB.
    ///
    /// - Throws: An obstacle if one of them cannot be loaded.
    func hold(onProgress: () -> Void) throws(Obstacle) {
        try kernel.hold(onProgress: onProgress)
        try initrd?.hold(onProgress: onProgress)
    }

    /// Tries whether the kernel takes the files; returns the error number, 0 if it does.
    ///
    /// It holds the kexec lock about as long as a load does.
    func rehearse() -> CInt {
        withExtendedLifetime((kernel, initrd)) {
            Kexec.rehearse(kernel: kernel.descriptor, initrd: initrd?.descriptor)
        }
    }

    /// What bars the reload after a trial that ended so.
    func obstacle(after errno: CInt) -> Obstacle {
        Reload.obstacle(kernel.path, subject, after: errno)
    }

    private static func obstacle(
        _ path: String, _ subject: Trial.Subject, after errno: CInt
    ) -> Obstacle {
        let words = SystemError.words(for: errno)
        guard Trial.isLasting(errno) else { return .untried(path: path, because: words) }
        let reason = subject.lockdown == .none ? words : "\(words); it is locked down"
        return .refused(path: path, because: reason)
    }

    /// Makes the image for the machine that was seen, if that is not for others to do.
    ///
    /// - Throws: Why it cannot be made.
    func make(for seen: Observation, below root: SystemRoot) throws(Obstacle) -> WholeLoad? {
        guard loader == .own else { return nil }
        return try WholeLoad.prepare(
            kernel, initrd, commandLine: commandLine, for: seen, below: root)
    }

    /// Loads the prepared files over whatever is loaded: as the image that was made of them, or by a
    /// `program` if the kernel cannot.
    func run(_ whole: WholeLoad?, by program: ProgramLoad.Runner?) -> Kexec.Attempt {
        // A file closes with its last reference, and both are read until the load ends.
        withExtendedLifetime((kernel, initrd)) {
            if let whole { return whole.run() }
            let (kernel, initrd) = (kernel.descriptor, initrd?.descriptor)
            guard loader == .program else {
                return Kexec.loadFile(kernel: kernel, initrd: initrd, commandLine: commandLine)
            }
            return ProgramLoad(kernel: kernel, initrd: initrd, commandLine: commandLine)
                .run(by: program)
        }
    }
}

extension Observation {
    /// Whether something is loaded that a crash may be able to use.
    fileprivate var hasImageToLose: Bool {
        guard support.isLoaded == true else { return false }
        switch finding {
        case .known(.nothing), .known(.broken): return false
        case .known(.image(let image)): return image.integrity != .mismatch
        case .unknown: return true
        }
    }
}
