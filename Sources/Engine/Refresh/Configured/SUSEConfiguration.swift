// SPDX-License-Identifier: Apache-2.0

/// The kdump of openSUSE and SLES: `/etc/sysconfig/kdump`.
///
/// The rules are those of its `load.sh` (kdump 2.1.9). It loads what `mkdumprd` left, whatever the
/// file says of versions. A Xen host's console is left out.
struct SUSEConfiguration: DistributionFamily {
    let root: SystemRoot
    let architecture: Architecture

    private static let file = "/etc/sysconfig/kdump"
    private static let kernel = "/var/lib/kdump/kernel"
    private static let initrd = "/var/lib/kdump/initrd"
    private static let vocabulary: Set<String> = [
        "FADUMP_COMMANDLINE_APPEND", "KDUMP_AUTO_RESIZE", "KDUMP_COMMANDLINE",
        "KDUMP_COMMANDLINE_APPEND", "KDUMP_CPUS", "KDUMP_FADUMP", "KDUMP_KERNELVER",
        "KDUMP_SAVEDIR", "KDUMP_VERBOSE", "KEXEC_OPTIONS",
    ]
    /// The parameters that the capture kernel does not take over.
    private static let removed: Set<Substring> = [
        "root", "resume", "crashkernel", "splash", "mem", "BOOT_IMAGE", "showopts",
        "zfcp.allow_lun_scan", "hugepages", "acpi_no_memhotplug", "cgroup_disable",
        "unknown_nmi_panic", "rd.udev.children-max",
    ]
    /// How many CPUs the capture kernel uses if the file does not say.
    private static let usualCPUs = 32
    /// The bit of KDUMP_VERBOSE that makes the capture kernel verbose.
    private static let talkative = 8

    var isInstalled: Bool { root.isFile("/usr/lib/kdump/load.sh") }

    var service: String { "kdump.service" }

    /// Only `load-once.sh`, which the rule calls, takes it.
    var lock: String { "/var/run/kdump.lock" }

    func configuration() throws(Obstacle) -> Configuration {
        let file = try ConfigurationFile(
            SUSEConfiguration.file, below: root, vocabulary: SUSEConfiguration.vocabulary)
        if ["yes", "1", "true"].contains(file["KDUMP_FADUMP"]) {
            throw .firmwareAssisted(path: file.path, variable: "KDUMP_FADUMP")
        }
        try file.refuseOptions(in: "KEXEC_OPTIONS")
        return Configuration(
            kernel: root.place(of: SUSEConfiguration.kernel),
            initrd: root.place(of: SUSEConfiguration.initrd),
            commandLine: commandLine(file), by: file.path)
    }

    private func commandLine(_ file: ConfigurationFile) -> Fact<String> {
        let own = file["KDUMP_COMMANDLINE"]
        let base = own.isEmpty ? root.kernelCommandLine : .known(own)
        guard case .known(let line) = base else { return base }
        let added = file["KDUMP_COMMANDLINE_APPEND"]
        // load.sh passes the line through a shell once more, in double quotes.
        guard !(line + added).contains(where: { "\"\\$`".contains($0) }),
            let running = KernelParameters(closed: line),
            let last = KernelParameters(closed: added)
        else {
            return .unknown(because: "load.sh would interpret its quotes, \\, $ or ` as shell")
        }
        var whole = own.isEmpty ? derived(from: running, file) : running
        whole.parameters += last.parameters
        let panics = whole.parameters.contains { $0.name == "panic" }
        return .known(whole.line + (panics ? "" : " panic=1"))
    }

    /// The capture kernel's command line, made from the running kernel's.
    private func derived(
        from running: KernelParameters, _ file: ConfigurationFile
    ) -> KernelParameters {
        var kept = running
        kept.remove(named: SUSEConfiguration.removed)
        let verbosity = Int(file["KDUMP_VERBOSE"]) ?? 0
        if verbosity & SUSEConfiguration.talkative != 0 { kept.remove(named: ["quiet"]) }
        var words = [
            "sysrq=yes", "reset_devices", "acpi_no_memhotplug", "cgroup_disable=memory",
            "nokaslr", "numa=off", "irqpoll",
        ]
        let cpus = Int(file["KDUMP_CPUS"]) ?? SUSEConfiguration.usualCPUs
        if cpus > 0 { words.append("nr_cpus=\(cpus)") }
        words += ["root=kdump", "rootflags=bind", "rd.udev.children-max=8"]
        if architecture == .x86 {
            if let id = root.firstProcessor("initial apicid") {
                words.append("disable_cpu_apicid=\(id)")
            }
            kept.remove(named: ["notsc"])
            kept.parameters.removeAll { $0.bare == "console=hvc0" }
        }
        kept.parameters += KernelParameters(words.joined(separator: " ")).parameters
        return kept
    }
}
