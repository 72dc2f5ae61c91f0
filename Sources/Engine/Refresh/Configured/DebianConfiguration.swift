// SPDX-License-Identifier: Apache-2.0

/// Debian's and Ubuntu's kdump-tools: `/etc/default/kdump-tools`.
///
/// The rules are those of `kdump-config load` (kdump-tools 1.8.1 and 1.10.7), except that it makes
/// a missing initrd, and a reload does not.
struct DebianConfiguration: DistributionFamily {
    let root: SystemRoot
    let architecture: Architecture

    /// The configuration file.
    static let file = "/etc/default/kdump-tools"
    private static let state = "/var/lib/kdump"
    private static let vocabulary: Set<String> = [
        "KDUMP_CMDLINE", "KDUMP_CMDLINE_APPEND", "KDUMP_COMPRESSION", "KDUMP_COREDIR",
        "KDUMP_DUMP_DMESG", "KDUMP_FAIL_CMD", "KDUMP_INITRD", "KDUMP_KERNEL", "KDUMP_KEXEC_ARGS",
        "KDUMP_NUM_DUMPS", "MAKEDUMP_ARGS", "USE_KDUMP",
    ]
    /// The parameters that the capture kernel does not take over.
    private static let removed: Set<Substring> = ["crashkernel", "hugepages", "hugepagesz", "abm"]

    var isInstalled: Bool { root.isFile("/usr/sbin/kdump-config") }

    var service: String { "kdump-tools.service" }

    /// Only `kdump-config try-reload`, which the rule calls, takes it; load and unload do not.
    var lock: String {
        // If the file cannot be read, it is most likely the usual directory.
        let directory = (try? settings())?["KDUMP_COREDIR"] ?? ""
        return (directory.isEmpty ? "/var/crash" : directory) + "/kdump_lock"
    }

    func configuration() throws(Obstacle) -> Configuration {
        let file = try settings()
        if ["", "0"].contains(file["USE_KDUMP"]) {
            throw .notWanted(path: file.path, variable: "USE_KDUMP")
        }
        try file.refuseOptions(in: "KDUMP_KEXEC_ARGS")
        let (kernel, initrd) = try files(file)
        return Configuration(
            kernel: root.place(of: kernel), initrd: initrd.map(root.place(of:)),
            commandLine: commandLine(file), by: file.path)
    }

    private func settings() throws(Obstacle) -> ConfigurationFile {
        try ConfigurationFile(
            DebianConfiguration.file, below: root, vocabulary: DebianConfiguration.vocabulary)
    }

    /// The kernel and the initrd.
    private func files(
        _ file: ConfigurationFile
    ) throws(Obstacle) -> (kernel: String, initrd: String?) {
        let release = try root.kernelRelease()
        let kernels = ["/boot/vmlinuz-\(release)", "/boot/vmlinux-\(release)"]
        let running = kernels.first(where: root.isFile)
        let kernel = file["KDUMP_KERNEL"]
        if !kernel.isEmpty {
            let initrd = file["KDUMP_INITRD"]
            let own = "\(DebianConfiguration.state)/initrd.img"
            return (
                followed(kernel, if: "\(DebianConfiguration.state)/vmlinuz", running ?? kernels[0]),
                initrd.isEmpty ? nil : followed(initrd, if: own, "\(own)-\(release)")
            )
        }
        let options = (try? root.text(of: "/boot/config-\(release)")) ?? ""
        guard let running, options.contains("CONFIG_RELOCATABLE=y") else {
            throw .noKernel(path: file.path, release: release)
        }
        let initrd = "/boot/initrd.img-\(release)"
        return (running, root.isFile(initrd) ? initrd : nil)
    }

    /// Returns `path`, except that kdump-tools' own links lead to the files of the running kernel.
    ///
    /// `kdump-config` points them there before each load; after a kernel upgrade they may point to
    /// an older or a newer kernel.
    private func followed(_ path: String, if own: String, _ wanted: String) -> String {
        path == own && root.link(at: own) != wanted ? wanted : path
    }

    private func commandLine(_ file: ConfigurationFile) -> Fact<String> {
        let own = file["KDUMP_CMDLINE"]
        let base = own.isEmpty ? root.kernelCommandLine.map(withoutRemoved) : .known(own)
        let added = file["KDUMP_CMDLINE_APPEND"]
        guard case .known(let line) = base else { return base }
        let whole = line + " " + (added.isEmpty ? usuallyAdded : added)
        // kdump-config passes the line through a shell once more, in double quotes.
        guard let evaluated = DebianConfiguration.evaluated(whole) else {
            return .unknown(because: "kdump-config would interpret its quotes, $ or ` as shell")
        }
        return .known(DebianConfiguration.words(in: evaluated).joined(separator: " "))
    }

    private func withoutRemoved(_ line: String) -> String {
        DebianConfiguration.words(in: line)
            .filter { word in
                !DebianConfiguration.removed.contains { word.utf8.starts(with: "\($0)=".utf8) }
            }
            .joined(separator: " ")
    }

    /// The words of a line, found as bytes: with an accent after it a space would be another character.
    private static func words(in line: String) -> [Substring] {
        line.utf8.split { " \t\n".utf8.contains($0) }.map { Substring($0) }
    }

    /// What a shell makes of `text` in double quotes; `nil` if the text ends the quotes.
    private static func evaluated(_ text: String) -> String? {
        var isEscaped = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\"") && !isEscaped { return nil }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
        }
        let assignment = Array("LINE=\"\(text)\"".utf8)
        return (try? ShellAssignments(assignment, vocabulary: []))?["LINE"]
    }

    /// What is appended if nothing is configured: the default of kdump-tools.
    private var usuallyAdded: String {
        let all = "reset_devices systemd.unit=kdump-tools-dump.service"
        switch architecture {
        case .arm64: return "\(all) nr_cpus=1"
        case .power: return "\(all) maxcpus=1 irqpoll noirqdistrib usbcore.nousb"
        default: return "\(all) nr_cpus=1 irqpoll usbcore.nousb"
        }
    }
}
