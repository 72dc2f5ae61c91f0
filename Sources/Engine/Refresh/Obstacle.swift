// SPDX-License-Identifier: Apache-2.0

/// A reason why a refresh is not attempted, known before anything is dropped.
///
/// `kexec_file_load` frees the old image first and only then finds out whether it can load the new
/// one (kernel/kexec_file.c). So every check that can be made in advance is made, and the image in
/// place stays.
package enum Obstacle: Error, Hashable {
    /// No kernel was named, and no kdump service that names one is installed.
    case noSource
    /// The distribution's kdump service is switched off by a variable of a file.
    case notWanted(path: String, variable: String)
    /// The distribution's kdump service uses firmware-assisted dump, by a variable of a file.
    case firmwareAssisted(path: String, variable: String)
    /// A file of the distribution's configuration cannot be read; why.
    case unreadableConfiguration(path: String, because: String)
    /// A file of the distribution's configuration contains shell code that is not supported.
    case foreignConfiguration(path: String, line: Int, what: String)
    /// A file of the distribution's configuration has an option of kexec(8) that a reload cannot
    /// follow.
    case foreignOption(path: String, variable: String, option: String)
    /// By the rules of a file, there is no kernel of that release.
    case noKernel(path: String, release: String)
    /// No command line was named, and that of the loaded image is not known; why.
    case noCommandLine(because: String)
    /// The image holds the keys of an encrypted dump target, which only the tool that put them in has.
    case encryptedTarget
    /// The kernel has no `kexec_file_load`, and kexec(8) is not installed.
    case noLoader
    /// The kernel has no `kexec_file_load`, and lockdown forbids everything else.
    case lockedDown
    /// `kernel.kexec_load_disabled` is 1.
    case loadingDisabled
    /// `kernel.kexec_load_limit_panic` is used up.
    case noLoadsLeft
    /// `kernel.kexec_load_limit_panic` is 1, and what is wrong is not worth the last load.
    case lastLoad
    /// A file cannot be opened or read; why.
    case unreadable(ImageFile.Role, path: String, because: String)
    /// A path is not that of a regular file.
    case notAFile(ImageFile.Role, path: String)
    /// A file is empty.
    case empty(ImageFile.Role, path: String)
    /// A file is open for writing; `kexec_file_load` would refuse it after it has dropped the old
    /// image.
    case beingWritten(ImageFile.Role, path: String)
    /// The kernel file has no format that `kexec_file_load` accepts on this architecture.
    case notAKernel(path: String)
    /// The kernel file has no signature, and the machine is locked down.
    case unsigned(path: String)
    /// The running kernel refuses the files, by its policy; why.
    case refused(path: String, because: String)
    /// Whether the running kernel takes the files cannot be tried; why, and what to do.
    case untried(path: String, because: String)
    /// The command line is longer than the crash kernel accepts, both in bytes.
    case commandLineTooLong(length: Int, limit: Int)
    /// Kernel and initrd together do not fit into reserved memory, both in bytes.
    case tooLarge(needed: UInt64, reserved: UInt64)
    /// An image cannot be made of the files without another program; why.
    case notMade(because: String)
    /// The files that were read belong to another machine.
    case anotherMachine
}

extension Obstacle {
    /// That there is no room for a copy of what is to be loaded.
    static let noMemory = Obstacle.notMade(because: "there is not enough memory for it")
}

extension Obstacle: CustomStringConvertible {
    /// What to do if the distribution's configuration cannot be used.
    private static let remedy = "set KDUMP_HOTPLUGD_KERNEL in /etc/default/kdump-hotplugd"

    /// One sentence: what, where, and what to do.
    package var description: String {
        switch self {
        case .noSource:
            "no crash kernel is configured: \(Obstacle.remedy)"
        case .notWanted(let path, let variable):
            "kdump is switched off: set \(variable) in \(path) to 1"
        case .firmwareAssisted(let path, let variable):
            "\(variable) in \(path) selects firmware-assisted dump, which needs no crash kernel"
        case .unreadableConfiguration(let path, let reason):
            "\(path) cannot be read (\(reason)): \(Obstacle.remedy)"
        case .foreignConfiguration(let path, let line, let what):
            "\(path) has \(what) in line \(line), which is not supported: \(Obstacle.remedy)"
        case .foreignOption(let path, let variable, let option):
            "\(variable) in \(path) has \(option), which a reload does not support: \(Obstacle.remedy)"
        case .noKernel(let path, let release):
            "no kernel \(release) was found by the rules of \(path): \(Obstacle.remedy)"
        case .noCommandLine(let reason):
            "the command line of the loaded image is not known (\(reason)): set"
                + " KDUMP_HOTPLUGD_COMMAND_LINE in /etc/default/kdump-hotplugd"
        case .encryptedTarget:
            "the loaded image holds the keys of an encrypted dump target, which a reload would lose:"
                + " load it with the distribution's tool, kdumpctl restart"
        case .noLoader:
            "this kernel has no kexec_file_load, and kexec(8) is not installed: install kexec-tools"
        case .lockedDown:
            "this machine is locked down and its kernel has no kexec_file_load, so no crash kernel can"
                + " be loaded until the next boot"
        case .loadingDisabled:
            "kernel.kexec_load_disabled is 1, so no crash kernel can be loaded until the next boot"
        case .noLoadsLeft:
            "kernel.kexec_load_limit_panic is used up, so no crash kernel can be loaded until the"
                + " next boot"
        case .lastLoad:
            "kernel.kexec_load_limit_panic allows one more load, which is kept for a change that a"
                + " dump would lose"
        case .unreadable(let role, let path, let reason):
            "the \(role.rawValue) \(path) cannot be read (\(reason)): name a readable file"
        case .notAFile(let role, let path):
            "the \(role.rawValue) \(path) is not a regular file: name one"
        case .empty(let role, let path):
            "the \(role.rawValue) \(path) is empty: rebuild or reinstall it"
        case .beingWritten(let role, let path):
            "the \(role.rawValue) \(path) is being written: the load waits until it is complete"
        case .notAKernel(let path):
            "\(path) is not a kernel image that kexec_file_load accepts: name an uncompressed one"
        case .unsigned(let path):
            "the kernel \(path) is not signed, and this machine is locked down: name a signed one"
        case .refused(let path, let reason):
            "this machine refuses to load \(path) or its initrd (\(reason)): name files that it"
                + " trusts, then reload the daemon"
        case .untried(let path, let reason):
            "whether this machine accepts \(path) cannot be tested (\(reason))"
        case .commandLineTooLong(let length, let limit):
            "the crash kernel's command line has \(length) bytes, and \(limit) is the limit: shorten it"
        case .tooLarge(let needed, let reserved):
            "kernel and initrd need \(ByteCount(needed)) and crashkernel= reserves only"
                + " \(ByteCount(reserved)): raise it or shrink the initrd"
        case .notMade(let reason):
            "no image can be made of kernel and initrd (\(reason)): load one with the distribution's tool"
        case .anotherMachine:
            "these files belong to another machine, and only this one's crash kernel can be loaded"
        }
    }
}

extension Result {
    /// What prevents it; `nil` if nothing does.
    var obstacle: Failure? {
        if case .failure(let obstacle) = self { obstacle } else { nil }
    }
}
