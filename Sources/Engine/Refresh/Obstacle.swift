// SPDX-License-Identifier: Apache-2.0

/// A reason why a refresh is not attempted, known before anything is dropped.
///
/// `kexec_file_load` frees the old image first and only then finds out whether the new one can be
/// loaded (kernel/kexec_file.c). So whatever can be found out beforehand is, and the image in place
/// stays.
package enum Obstacle: Error, Hashable {
    /// No kernel was named, and no kdump service that names one is installed.
    case noSource
    /// The distribution's kdump service is switched off, by a variable of a file.
    case notWanted(path: String, variable: String)
    /// The distribution's kdump service has the firmware keep the dump, by a variable of a file.
    case firmwareAssisted(path: String, variable: String)
    /// A file of the distribution's configuration cannot be read; why.
    case unreadableConfiguration(path: String, because: String)
    /// A file of the distribution's configuration has shell in it that is not read here.
    case foreignConfiguration(path: String, line: Int, what: String)
    /// A file of the distribution's configuration has kexec(8) load other than a reload does.
    case foreignOption(path: String, variable: String, option: String)
    /// By the rules of a file, no kernel of that release is there.
    case noKernel(path: String, release: String)
    /// No command line was named, and that of the loaded image is not known; why.
    case noCommandLine(because: String)
    /// The image holds the keys of an encrypted dump target, which only the tool that put them in has.
    case encryptedTarget
    /// `kernel.kexec_load_disabled` is 1.
    case loadingDisabled
    /// `kernel.kexec_load_limit_panic` is used up.
    case noLoadsLeft
    /// A file cannot be opened or read; why.
    case unreadable(ImageFile.Role, path: String, because: String)
    /// A path names no regular file.
    case notAFile(ImageFile.Role, path: String)
    /// A file holds nothing.
    case empty(ImageFile.Role, path: String)
    /// A file is open for writing somewhere, which `kexec_file_load` refuses after the drop.
    case beingWritten(ImageFile.Role, path: String)
    /// The kernel file has no format that this architecture's `kexec_file_load` takes.
    case notAKernel(path: String)
    /// The kernel file has no signature, and a locked-down kernel loads no other.
    case unsigned(path: String)
    /// The kernel file has a signature that a locked-down kernel refuses; why.
    case refused(path: String, because: String)
    /// The machine is locked down, and whether it takes the kernel file cannot be tried, because
    /// another kernel is loaded to reboot into.
    case untried(path: String)
    /// The command line is longer than the crash kernel takes, both in bytes.
    case commandLineTooLong(length: Int, limit: Int)
    /// Kernel and initrd together do not fit into reserved memory, both in bytes.
    case tooLarge(needed: UInt64, reserved: UInt64)
    /// What was looked at are the files of another machine.
    case anotherMachine
}

extension Obstacle: CustomStringConvertible {
    /// What helps where the distribution's configuration does not.
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
        case .loadingDisabled:
            "kernel.kexec_load_disabled is 1, so no crash kernel can be loaded until the next boot"
        case .noLoadsLeft:
            "kernel.kexec_load_limit_panic is used up, so no crash kernel can be loaded until the"
                + " next boot"
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
            "this machine is locked down and refuses the kernel \(path) (\(reason)): name one that"
                + " is signed with a key it trusts"
        case .untried(let path):
            "this machine is locked down, and the kernel \(path) cannot be tested while a"
                + " kernel for kexec reboot is loaded: unload that with kexec -u"
        case .commandLineTooLong(let length, let limit):
            "the crash kernel's command line has \(length) bytes, and \(limit) is the limit: shorten it"
        case .tooLarge(let needed, let reserved):
            "kernel and initrd need \(ByteCount(needed)) and crashkernel= reserves only"
                + " \(ByteCount(reserved)): raise it or shrink the initrd"
        case .anotherMachine:
            "these files belong to another machine, and only this one's crash kernel can be loaded"
        }
    }
}
