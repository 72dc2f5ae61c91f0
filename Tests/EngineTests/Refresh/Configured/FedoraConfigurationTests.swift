// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// `/etc/sysconfig/kdump` of Fedora and RHEL, rule by rule.
@Suite struct FedoraConfigurationTests {
    private static let machineID = "0123456789abcdef0123456789abcdef"

    private func machine(
        _ text: String? = "KDUMP_IMG=\"vmlinuz\"\n", _ files: [String: String] = [:],
        without missing: String? = nil
    ) throws -> ConfiguredMachine {
        var all = [
            "/usr/bin/kdumpctl": "#!/bin/bash\n", "/etc/kdump.conf": "path /var/crash\n",
            "/etc/machine-id": FedoraConfigurationTests.machineID + "\n",
            "/boot/vmlinuz-6.1.0-9": "kernel", "/boot/initramfs-6.1.0-9.img": "initrd",
            "/boot/initramfs-6.1.0-9kdump.img": "capture",
        ]
        if let text { all["/etc/sysconfig/kdump"] = text }
        all.merge(files) { $1 }
        if let missing { all[missing] = nil }
        return try ConfiguredMachine(all)
    }

    @Test func bothFilesTellTheFamily() throws {
        let found = try machine().found()
        #expect(found.kernel == "/boot/vmlinuz-6.1.0-9")
        #expect(found.initrd == "/boot/initramfs-6.1.0-9kdump.img")
        #expect(try machine(without: "/etc/kdump.conf").obstacle == .noSource)
        #expect(try machine(without: "/usr/bin/kdumpctl").obstacle == .noSource)
    }

    @Test func theKernelsVersionIsConfiguredOrRunningWithoutDebug() throws {
        let other = ["/boot/vmlinuz-5.14.0-1": "older"]
        #expect(
            try machine("KDUMP_IMG=vmlinuz\nKDUMP_KERNELVER=5.14.0-1", other).found().kernel
                == "/boot/vmlinuz-5.14.0-1")
        for suffix in ["+debug", "-debug"] {
            var files = [
                "/proc/sys/kernel/osrelease": "6.1.0-9\(suffix)\n",
                "/boot/vmlinuz-6.1.0-9\(suffix)": "debug", "/proc/cmdline": "ro\n",
            ]
            #expect(
                try machine(files: files).found().kernel == "/boot/vmlinuz-6.1.0-9\(suffix)")
            files["/usr/lib/modules/6.1.0-9/modules.dep"] = ""
            #expect(try machine(files: files).found().kernel == "/boot/vmlinuz-6.1.0-9")
        }
    }

    private func machine(files: [String: String]) throws -> ConfiguredMachine {
        try machine("KDUMP_IMG=vmlinuz", files)
    }

    /// Each place with a kernel of its own; the first one in the order is taken away each time.
    @Test func placesAreSearchedInOrder() throws {
        let id = FedoraConfigurationTests.machineID
        let order = [
            "/boot/vmlinuz-6.1.0-9", "/boot/\(id)/6.1.0-9/vmlinuz",
            "/boot/EFI/Linux/\(id)-6.1.0-9.efi", "/boot/efi/vmlinuz-6.1.0-9",
            "/efi/\(id)/6.1.0-9/vmlinuz", "/vmlinuz-6.1.0-9",
        ]
        for number in order.indices {
            let present = Dictionary(uniqueKeysWithValues: order[number...].map { ($0, "k") })
            let machine = try machine(
                "KDUMP_IMG=vmlinuz", present.merging(["/proc/cmdline": "ro"]) { $1 },
                without: number > 0 ? "/boot/vmlinuz-6.1.0-9" : nil)
            #expect(try machine.found().kernel == order[number])
        }
        let none = try machine(without: "/boot/vmlinuz-6.1.0-9")
        #expect(
            none.obstacle == .noKernel(path: "/etc/sysconfig/kdump", release: "6.1.0-9"))
    }

    @Test func whatTheBootLoaderStartedComesFirst() throws {
        let files = [
            "/boot/special/vmlinuz-6.1.0-9": "k", "/boot/special/vmlinuz-5": "k",
            "/proc/cmdline": "BOOT_IMAGE=(hd0,gpt1)/special/vmlinuz-6.1.0-9 ro\n",
        ]
        #expect(try machine(files: files).found().kernel == "/boot/special/vmlinuz-6.1.0-9")
        // Another version, or a parameter that is not the first, says nothing.
        for line in ["BOOT_IMAGE=/special/vmlinuz-5", "ro BOOT_IMAGE=/special/vmlinuz-6.1.0-9"] {
            let found = try machine(files: files.merging(["/proc/cmdline": line]) { $1 }).found()
            #expect(found.kernel == "/boot/vmlinuz-6.1.0-9")
        }
    }

    @Test func directoriesAndNamesCanBeConfigured() throws {
        let text = "KDUMP_IMG=Image; KDUMP_IMG_EXT=.gz; KDUMP_BOOTDIR=\"/srv /mnt\""
        let files = ["/mnt/Image-6.1.0-9.gz": "k", "/boot/Image-6.1.0-9.gz": "k"]
        #expect(try machine(text, files).found().kernel == "/mnt/Image-6.1.0-9.gz")
    }

    @Test func deploymentsOfOSTreeComeFirst() throws {
        let files = [
            "/boot/ostree/fedora-1/vmlinuz-6.1.0-9": "k", "/run/ostree-booted": "",
            "/proc/cmdline": "ro\n",
        ]
        #expect(
            try machine(files: files).found().kernel == "/boot/ostree/fedora-1/vmlinuz-6.1.0-9")
    }

    @Test func aUnifiedImageIsNamedByTheFirmware() throws {
        let stub = "StubImageIdentifier-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        let name = "\\EFI\\Linux\\any.efi".map { "\($0)\0" }.joined()
        let files = [
            "/sys/firmware/efi/efivars/\(stub)": "\u{6}\0\0\0\(name)\0\0",
            "/boot/efi/EFI/Linux/any.efi": "k", "/proc/cmdline": "ro\n",
        ]
        let found = try machine(
            "KDUMP_IMG=vmlinuz", files, without: "/boot/vmlinuz-6.1.0-9"
        ).found()
        #expect(found.kernel == "/boot/efi/EFI/Linux/any.efi")
        #expect(found.initrd == "/var/lib/kdump/initramfs-6.1.0-9kdump.img")
    }

    @Test func theInitrdIsBesideTheKernelOrElsewhere() throws {
        let elsewhere = "/var/lib/kdump/initramfs-6.1.0-9kdump.img"
        let noDefault = try machine(without: "/boot/initramfs-6.1.0-9.img").found()
        #expect(noDefault.initrd == elsewhere)
        // What kdumpctl put elsewhere because it could not write beside the kernel.
        let readOnly = try machine(
            "KDUMP_IMG=vmlinuz", [elsewhere: "i"], without: "/boot/initramfs-6.1.0-9kdump.img")
        #expect(try readOnly.found().initrd == elsewhere)
        let missing = try machine(without: "/boot/initramfs-6.1.0-9kdump.img").found()
        #expect(missing.initrd == "/boot/initramfs-6.1.0-9kdump.img")
        let short = try machine(
            "KDUMP_IMG=vmlinuz", ["/boot/initrd": "i"], without: "/boot/initramfs-6.1.0-9.img")
        #expect(try short.found().initrd == "/boot/initrdkdump")
    }

    @Test(arguments: [
        ("a=1 crashkernel=1G quiet", "", "a=1 quiet"),
        (
            "root=/dev/x rd.lvm.lv=a rd.luks.uuid=b rd.dm.uuid=c rd.md.uuid=d fcoe=e netroot=f"
                + " rd.iscsi.initiator=g iscsi_initiator=h panic_on_warn a", "", "a"
        ),
        ("a hugepages=1 hugepagesz=2M slub_debug=P b", "", "a b"),
        ("a=1 b=2 quiet", "KDUMP_COMMANDLINE_REMOVE=\"b quiet=x a.c\"", "a=1"),
        ("hugepages=1 a", "KDUMP_COMMANDLINE_REMOVE=", "hugepages=1 a"),
        ("a= b= c=1", "", "c=1"),
        ("a=\"x y\" \"b=x  y\" c=\"z\" rootflags=r", "", "a=\"x y\" b=\"x y\" c=z rootflags=r"),
        (
            "a", "KDUMP_COMMANDLINE_APPEND=\"irqpoll  root=/dev/y crashkernel=1\"",
            "a irqpoll root=/dev/y crashkernel=1"
        ),
        ("a", "KDUMP_COMMANDLINE=\"b crashkernel=1G root=c\"", "b"),
    ])
    func theCommandLineFollowsTheRules(running: String, text: String, line: String) throws {
        let machine = try machine("KDUMP_IMG=vmlinuz\n\(text)\n", ["/proc/cmdline": running])
        #expect(
            try machine.found().commandLine
                == .known("\(line) disable_cpu_apicid=4 rd.systemd.gpt_auto=no"))
    }

    @Test func aBootProcessorThatIsNotThereIsNotNamed() throws {
        for text in ["", "processor\t: 1\napicid\t\t: 5\n", "processor\t: 0\nBogoMIPS\t: 5\n"] {
            let files = ["/proc/cmdline": "a", "/proc/cpuinfo": text]
            #expect(
                try machine(files: files).found().commandLine
                    == .known("a rd.systemd.gpt_auto=no"))
        }
    }

    @Test(arguments: ["a='b'", "a=\\b", "a=\"b"])
    func quotesThatOnlyTheToolKnowsLeaveTheLineUnknown(line: String) throws {
        #expect(try machine(files: ["/proc/cmdline": line]).found().commandLine.value == nil)
    }

    @Test func optionsOfKexecThatChangeTheImageAreRefused() throws {
        #expect(try machine("KDUMP_IMG=vmlinuz KEXEC_ARGS='-s --dt-no-old-root'").obstacle == nil)
        #expect(
            try machine("KDUMP_IMG=vmlinuz KEXEC_ARGS=--reuse-cmdline").obstacle
                == .foreignOption(
                    path: "/etc/sysconfig/kdump", variable: "KEXEC_ARGS",
                    option: "--reuse-cmdline"))
    }
}
