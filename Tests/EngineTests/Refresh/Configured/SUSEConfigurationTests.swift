// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// `/etc/sysconfig/kdump` of openSUSE and SLES, rule by rule.
@Suite struct SUSEConfigurationTests {
    private func machine(
        _ text: String? = "", _ files: [String: String] = [:],
        on architecture: Architecture = .x86
    ) throws -> ConfiguredMachine {
        var all = files
        all["/usr/lib/kdump/load.sh"] = "#!/bin/bash\n"
        all["/boot/vmlinuz-6.1.0-9"] = "kernel"
        if let text { all["/etc/sysconfig/kdump"] = text }
        return try ConfiguredMachine(all, on: architecture)
    }

    private func line(
        _ running: String, _ text: String? = "", on architecture: Architecture = .x86
    ) throws -> Fact<String> {
        try machine(text, ["/proc/cmdline": running], on: architecture).found().commandLine
    }

    @Test(arguments: [nil, "", "KDUMP_KERNELVER=\"5.0\"\nKDUMP_SAVEDIR=/x\n"])
    func whatMkdumprdLeftIsLoaded(text: String?) throws {
        let machine = try machine(text, ["/var/lib/kdump/initrd": "initrd"])
        try machine.machine.link("/var/lib/kdump/kernel", to: "../../../boot/vmlinuz-6.1.0-9")
        let found = try machine.found()
        #expect(found.kernel == "/boot/vmlinuz-6.1.0-9")
        #expect(found.initrd == "/var/lib/kdump/initrd")
    }

    private static let added =
        "sysrq=yes reset_devices acpi_no_memhotplug cgroup_disable=memory nokaslr numa=off irqpoll"
    private static let last = "root=kdump rootflags=bind rd.udev.children-max=8"

    @Test func theCommandLineIsTheRunningKernelsWithoutSomeAndWithMore() throws {
        let running =
            "BOOT_IMAGE=/boot/v root=/dev/x resume=y crashkernel=1G splash=silent mem=4G a=1"
            + " showopts hugepages=3 cgroup_disable=b unknown_nmi_panic notsc console=hvc0"
            + " console=ttyS0 rd.udev.children-max=9 zfcp.allow_lun_scan=1 quiet rootdelay=3"
        let (added, last) = (SUSEConfigurationTests.added, SUSEConfigurationTests.last)
        #expect(
            try line(running)
                == .known(
                    "a=1 console=ttyS0 quiet rootdelay=3 \(added) nr_cpus=32 \(last)"
                        + " disable_cpu_apicid=6 panic=1"))
        #expect(
            try line("a notsc console=hvc0", on: .arm64)
                == .known("a notsc console=hvc0 \(added) nr_cpus=32 \(last) panic=1"))
    }

    @Test(arguments: [
        ("KDUMP_CPUS=1", " nr_cpus=1"), ("KDUMP_CPUS=\"4\"", " nr_cpus=4"), ("KDUMP_CPUS=0", ""),
        ("KDUMP_CPUS=many", " nr_cpus=32"),
    ])
    func theNumberOfCPUsIsConfigured(text: String, words: String) throws {
        let (added, last) = (SUSEConfigurationTests.added, SUSEConfigurationTests.last)
        #expect(try line("a", text, on: .arm64) == .known("a \(added)\(words) \(last) panic=1"))
    }

    @Test func aTalkativeCaptureKernelIsNotQuiet() throws {
        #expect(try line("quiet", "KDUMP_VERBOSE=8", on: .arm64).value?.hasPrefix("sysrq") == true)
        #expect(try line("quiet", "KDUMP_VERBOSE=7", on: .arm64).value?.hasPrefix("quiet") == true)
    }

    @Test func aCommandLineThatIsNamedIsTakenWhole() throws {
        #expect(try line("a", "KDUMP_COMMANDLINE='root=/x b'") == .known("root=/x b panic=1"))
        #expect(
            try line("a", "KDUMP_COMMANDLINE=b\nKDUMP_COMMANDLINE_APPEND='c panic=5'")
                == .known("b c panic=5"))
        #expect(try line("a", "KDUMP_COMMANDLINE=panic_on_x=1").value?.hasSuffix("panic=1") == true)
    }

    @Test(arguments: ["a=\"b c\"", "a=$B", "a=\\b", "a=`b`"])
    func aLineThatTheToolWouldMangleIsNotKnown(running: String) throws {
        #expect(try line(running).value == nil)
    }

    @Test(arguments: ["yes", "1", "true"])
    func aDumpByTheFirmwareNeedsNoLoad(yes: String) throws {
        #expect(
            try machine("KDUMP_FADUMP=\(yes)").obstacle
                == .firmwareAssisted(path: "/etc/sysconfig/kdump", variable: "KDUMP_FADUMP"))
        #expect(try machine("KDUMP_FADUMP=false").obstacle == nil)
    }

    @Test func optionsOfKexecThatChangeTheImageAreRefused() throws {
        #expect(try machine("KEXEC_OPTIONS=\"-c -d\"").obstacle == nil)
        #expect(
            try machine("KEXEC_OPTIONS=--noio").obstacle
                == .foreignOption(
                    path: "/etc/sysconfig/kdump", variable: "KEXEC_OPTIONS", option: "--noio"))
    }
}
