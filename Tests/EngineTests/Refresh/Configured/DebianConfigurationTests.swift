// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// `/etc/default/kdump-tools`, rule by rule; the real file of the package is read in guests.
@Suite struct DebianConfigurationTests {
    private static let appended =
        "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb"
    private static let stock = """
        USE_KDUMP=1
        KDUMP_KERNEL=/var/lib/kdump/vmlinuz
        KDUMP_INITRD=/var/lib/kdump/initrd.img

        """

    private func machine(
        _ text: String?, _ files: [String: String] = [:], on architecture: Architecture = .x86
    ) throws -> ConfiguredMachine {
        var all = files
        all["/usr/sbin/kdump-config"] = "#!/bin/sh\n"
        all["/boot/vmlinuz-6.1.0-9"] = "kernel"
        all["/var/lib/kdump/initrd.img-6.1.0-9"] = "initrd"
        if let text { all["/etc/default/kdump-tools"] = text }
        return try ConfiguredMachine(all, on: architecture)
    }

    @Test func theLinksOfThePackageAreFollowed() throws {
        let machine = try machine(DebianConfigurationTests.stock)
        try machine.machine.link("/var/lib/kdump/vmlinuz", to: "/boot/vmlinuz-6.1.0-9")
        try machine.machine.link(
            "/var/lib/kdump/initrd.img", to: "/var/lib/kdump/initrd.img-6.1.0-9")
        let found = try machine.found()
        #expect(found.kernel == "/boot/vmlinuz-6.1.0-9")
        #expect(found.initrd == "/var/lib/kdump/initrd.img-6.1.0-9")
    }

    @Test func linksToAnotherKernelAreReadAsThoseOfTheRunningOne() throws {
        let other = [
            "/boot/vmlinuz-6.1.0-10": "newer", "/var/lib/kdump/initrd.img-6.1.0-10": "newer",
        ]
        let machine = try machine(DebianConfigurationTests.stock, other)
        try machine.machine.link("/var/lib/kdump/vmlinuz", to: "/boot/vmlinuz-6.1.0-10")
        try machine.machine.link(
            "/var/lib/kdump/initrd.img", to: "/var/lib/kdump/initrd.img-6.1.0-10")
        let found = try machine.found()
        #expect(found.kernel == "/boot/vmlinuz-6.1.0-9")
        #expect(found.initrd == "/var/lib/kdump/initrd.img-6.1.0-9")
    }

    @Test func filesThatAreNamedAreTaken() throws {
        let named = "USE_KDUMP=yes\nKDUMP_KERNEL=/srv/k\nKDUMP_INITRD=/srv/i\n"
        let found = try machine(named).found()
        #expect(found.kernel == "/srv/k" && found.initrd == "/srv/i")
        #expect(try machine("USE_KDUMP=1 KDUMP_KERNEL=/srv/k").found().initrd == nil)
    }

    @Test func withoutANameTheRunningKernelIsTakenIfItIsRelocatable() throws {
        let relocatable = ["/boot/config-6.1.0-9": "A=y\nCONFIG_RELOCATABLE=y\n"]
        let plain = try machine("USE_KDUMP=1 KDUMP_INITRD=/srv/i", relocatable).found()
        #expect(plain.kernel == "/boot/vmlinuz-6.1.0-9" && plain.initrd == nil)
        let initrd = relocatable.merging(["/boot/initrd.img-6.1.0-9": "i"]) { $1 }
        #expect(
            try machine("USE_KDUMP=1", initrd).found().initrd == "/boot/initrd.img-6.1.0-9")
        #expect(
            try machine("USE_KDUMP=1").obstacle
                == .noKernel(path: "/etc/default/kdump-tools", release: "6.1.0-9"))
    }

    @Test(arguments: [nil, "", "USE_KDUMP=0", "USE_KDUMP=1; USE_KDUMP="])
    func whatIsSwitchedOffIsNotWanted(text: String?) throws {
        #expect(
            try machine(text).obstacle
                == .notWanted(path: "/etc/default/kdump-tools", variable: "USE_KDUMP"))
    }

    @Test func theCommandLineIsTheRunningKernelsWithoutSomeAndWithMore() throws {
        let line = "ro  crashkernel=192M hugepages=2 hugepagesz=2M abm=1 xcrashkernel=1 quiet\n"
        let files = ["/proc/cmdline": line]
        let stock = DebianConfigurationTests.stock
        #expect(
            try machine(stock, files).found().commandLine
                == .known("ro xcrashkernel=1 quiet \(DebianConfigurationTests.appended)"))
        #expect(
            try machine(stock + "KDUMP_CMDLINE_APPEND='a \\\n b'", files).found().commandLine
                == .known("ro xcrashkernel=1 quiet a b"))
        #expect(
            try machine(stock + "KDUMP_CMDLINE='x=\\\"1 2\\\" y'", files).found().commandLine
                == .known("x=\"1 2\" y \(DebianConfigurationTests.appended)"))
    }

    @Test(arguments: [
        (Architecture.arm64, "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1"),
        (
            .power,
            "reset_devices systemd.unit=kdump-tools-dump.service maxcpus=1 irqpoll noirqdistrib"
                + " usbcore.nousb"
        ),
    ])
    func whatIsAppendedDependsOnTheArchitecture(
        architecture: Architecture, appended: String
    ) throws {
        let machine = try machine(
            DebianConfigurationTests.stock, ["/proc/cmdline": "ro\n"], on: architecture)
        #expect(try machine.found().commandLine == .known("ro \(appended)"))
    }

    // With the Arabic end of ayah before it a quote is part of another character.
    @Test(arguments: ["a=\"b c\"", "a=$B", "a=`b`", "a=\u{6DD}\"b\u{6DD}\" c"])
    func aLineThatTheToolWouldMangleIsNotKnown(line: String) throws {
        let found = try machine(DebianConfigurationTests.stock, ["/proc/cmdline": line]).found()
        #expect(found.commandLine.value == nil)
        #expect(found.kernel == "/boot/vmlinuz-6.1.0-9", "the rest is not lost by that")
    }

    @Test func optionsOfKexecThatChangeTheImageAreRefused() throws {
        let stock = DebianConfigurationTests.stock
        let harmless = "KDUMP_KEXEC_ARGS=\"--elf64-core-headers -s\""
        #expect(try machine(stock + harmless).obstacle == nil)
        #expect(
            try machine(stock + "KDUMP_KEXEC_ARGS=\"-s --dtb=/x\"").obstacle
                == .foreignOption(
                    path: "/etc/default/kdump-tools", variable: "KDUMP_KEXEC_ARGS",
                    option: "--dtb=/x"))
    }

    @Test func shellThatIsNotReadIsNamed() throws {
        #expect(
            try machine("USE_KDUMP=1\nKDUMP_KERNEL=/boot/vmlinuz-$(uname -r)").obstacle
                == .foreignConfiguration(
                    path: "/etc/default/kdump-tools", line: 2, what: "a command substitution"))
    }

    @Test func aFileThatCannotBeReadIsNamed() throws {
        let machine = try machine(nil, ["/etc/default/kdump-tools/x": ""])
        let obstacle = try #require(machine.obstacle)
        #expect(name(of: obstacle) == "unreadableConfiguration")
        #expect("\(obstacle)".contains("/etc/default/kdump-tools"))
    }
}
