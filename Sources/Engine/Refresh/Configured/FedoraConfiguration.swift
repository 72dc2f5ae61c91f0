// SPDX-License-Identifier: Apache-2.0

/// The kdump-utils of Fedora, RHEL and their kin: `/etc/kdump.conf` and `/etc/sysconfig/kdump`.
///
/// The rules are those of `kdumpctl start` (kdump-utils 1.0.61), with two exceptions in the command
/// line: the pretimeout of watchdog drivers, whose names are in modprobe's database, and AWS
/// Graviton, which gets no `irqpoll`. Which files are loaded is `FedoraImage`'s business.
struct FedoraConfiguration: DistributionFamily {
    let root: SystemRoot
    let architecture: Architecture

    private static let file = "/etc/sysconfig/kdump"
    private static let vocabulary: Set<String> = [
        "FADUMP_COMMANDLINE_APPEND", "KDUMP_BOOTDIR", "KDUMP_COMMANDLINE",
        "KDUMP_COMMANDLINE_APPEND", "KDUMP_COMMANDLINE_REMOVE", "KDUMP_IMG", "KDUMP_IMG_EXT",
        "KDUMP_KERNELVER", "KDUMP_KMSGLOGLVL", "KDUMP_STDLOGLVL", "KDUMP_SYSLOGLVL", "KEXEC_ARGS",
        "MKDUMPRD_ARGS",
    ]
    /// What kdumpctl removes if the file does not say.
    private static let usuallyRemoved = "hugepages hugepagesz slub_debug"
    /// What it always removes: what would fail or hang in the capture kernel.
    private static let alwaysRemoved: Set<Substring> = [
        "crashkernel", "panic_on_warn", "root", "rd.lvm.lv", "rd.luks.uuid", "rd.dm.uuid",
        "rd.md.uuid", "fcoe", "netroot", "rd.iscsi.initiator", "iscsi_initiator",
    ]

    /// ALT has a `kdumpctl` too, and no such file.
    var isInstalled: Bool {
        root.isFile("/usr/bin/kdumpctl") && root.isFile("/etc/kdump.conf")
    }

    var service: String { "kdump.service" }

    /// If that directory is missing, kdumpctl uses /tmp, which the service does not share.
    var lock: String { "/run/lock/kdump" }

    func configuration() throws(Obstacle) -> Configuration {
        let file = try ConfigurationFile(
            FedoraConfiguration.file, below: root, vocabulary: FedoraConfiguration.vocabulary,
            already: ["KDUMP_COMMANDLINE_REMOVE": FedoraConfiguration.usuallyRemoved])
        try file.refuseOptions(in: "KEXEC_ARGS")
        let image = try FedoraImage(file, below: root)
        return Configuration(
            kernel: root.place(of: image.kernel), initrd: root.place(of: image.initrd),
            commandLine: commandLine(file), by: file.path)
    }

    private func commandLine(_ file: ConfigurationFile) -> Fact<String> {
        let own = file["KDUMP_COMMANDLINE"]
        let base = own.isEmpty ? root.kernelCommandLine : .known(own)
        guard case .known(let line) = base else { return base }
        // kdumpctl splits with xargs, for which these are special; for the kernel they are not.
        guard !line.contains(where: { "'\\".contains($0) }),
            var kept = KernelParameters(closed: line),
            let removed = KernelParameters(closed: file["KDUMP_COMMANDLINE_REMOVE"])
        else {
            return .unknown(because: "kdumpctl and the kernel would read its quotes differently")
        }
        kept.remove(
            named: FedoraConfiguration.alwaysRemoved.union(removed.parameters.map(\.name)))
        let words = kept.parameters.filter { $0.value?.isEmpty != true }.map(requoted)
        let all = words + [file["KDUMP_COMMANDLINE_APPEND"]] + added
        return .known(all.joined(separator: " ").split(separator: " ").joined(separator: " "))
    }

    /// A parameter, with quotes around its value if that has spaces.
    private func requoted(_ parameter: KernelParameters.Parameter) -> String {
        guard let value = parameter.value, value.contains(where: { " \t".contains($0) }) else {
            return parameter.bare
        }
        return "\(parameter.name)=\"\(value)\""
    }

    /// What kdumpctl appends in the end.
    private var added: [String] {
        var words: [String] = []
        // That of the first processor, if the machine was booted on it.
        if root.firstProcessor("processor") == "0", let id = root.firstProcessor("apicid") {
            words.append("disable_cpu_apicid=\(id)")
        }
        return words + ["rd.systemd.gpt_auto=no"]
    }
}
