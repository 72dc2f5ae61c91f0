// SPDX-License-Identifier: Apache-2.0

/// What a guest is made of: its kernel, its memory, its command line, its payload.
package struct MachineSettings: Sendable, Hashable {
    /// The kernel that the guest boots.
    package var kernel: Kernel
    /// A directory of this machine that the guest sees read-only as `/payload`.
    package var payload: String?
    /// The value of `crashkernel=`; `nil` reserves nothing.
    package var crashkernel: String?
    /// Memory at boot, in MiB.
    package var memory: Int
    /// How many DIMMs can be plugged in.
    package var slots = 8
    /// CPUs at boot.
    package var processors = 2
    /// How many more can be plugged in.
    package var spareProcessors = 2
    /// Threads of each core, and every core has a socket of its own.
    package var threads = 1
    /// How much memory the guest can get by virtio-mem, in MiB; see VirtioMemory.swift.
    package var virtioMemory = 0
    /// Added to the kernel's command line.
    package var commandLine = ""
    /// Whether tests can read and change the guest's memory from outside; see Memory.swift.
    package var sharesMemory = false
    /// Whether a CPU is going to be plugged out, which QEMU does not survive by itself; see
    /// `image/keep.c`.
    package var losesCPUs = false

    /// Whether the firmware may dump (fadump), which boots the guest anew after a crash.
    package var firmwareDumps = false

    /// Whether the guest is a whole Debian, whose disk tests can look into when it has ended; see
    /// GuestImage.system(_:) and WrittenDump.swift.
    package var isWholeSystem = false

    /// The settings of a guest that runs `kernel`, with `payload` if there is one.
    package init(_ kernel: Kernel, payload: String? = nil) {
        self.kernel = kernel
        self.payload = payload
        (memory, crashkernel) = kernel.platform.machine.memory
    }

    /// All CPUs that the guest can have.
    var mostProcessors: Int { processors + spareProcessors }

    /// These settings without what may differ from one resumed guest to the next.
    var inherent: MachineSettings {
        var settings = self
        settings.payload = nil
        settings.sharesMemory = false
        settings.losesCPUs = false
        return settings
    }

    /// QEMU's command line for a guest whose sockets and disk are in `files`.
    ///
    /// `backend` is the memory of boot, an `-object` with the name `ram`; `payload` the payload's disk.
    func arguments(
        _ image: GuestImage, _ files: MachineFiles, memory backend: String, payload: String
    ) -> [String] {
        let kernelFiles = "\(image.root)/\(kernel)"
        let machine = kernel.platform.machine
        return virtioMemoryDevice + [
            "-accel", "tcg,thread=multi", "-display", "none", "-nic", "none",
        ] + (firmwareDumps ? [] : ["-no-reboot"]) + machine.arguments(self, image) + [
            "-kernel", "\(kernelFiles)/vmlinuz", "-initrd", "\(kernelFiles)/initramfs",
            "-append", kernelArguments,
            "-object", backend,
            "-serial", "file:\(files.console)",
            "-serial", "unix:\(files.agent),server=off",
            "-qmp", "unix:\(files.control),server=off",
            // Nothing of it has to survive this machine.
            "-drive", "file=\(files.disk),if=virtio,format=qcow2,cache=unsafe",
            "-drive", "file=\(image.tools)/tools.ext4,if=virtio,format=raw,readonly=on",
            "-drive", "file=\(payload),if=virtio,format=raw,readonly=on",
        ]
    }

    /// A device that has nothing plugged at first; QEMU has no slot to plug one in later.
    private var virtioMemoryDevice: [String] {
        guard virtioMemory > 0 else { return [] }
        let (id, backend) = (Self.virtioMemoryID, "backend-virtio")
        return [
            "-object", "memory-backend-ram,id=\(backend),size=\(virtioMemory)M,reserve=off",
            "-device", "virtio-mem-pci,id=\(id),memdev=\(backend),requested-size=0,bus=pcie.0",
        ]
    }

    /// The name of that device.
    static let virtioMemoryID = "virtio"

    /// Memory of the guest's own, which nobody outside sees.
    var anonymousMemory: String { "memory-backend-ram,id=ram,size=\(memory)M" }

    /// Memory in a file, which the guest changes.
    func sharedMemory(in file: String) -> String {
        "memory-backend-file,id=ram,mem-path=\(file),size=\(memory)M,share=on"
    }

    /// Memory that is at first what a file has; what the guest writes stays its own.
    func copiedMemory(of file: String) -> String {
        "memory-backend-file,id=ram,mem-path=\(file),size=\(memory)M,share=off"
    }

    /// Puts programs and libraries at the same addresses in every process.
    ///
    /// QEMU 7.2 translates the code of a program and of its libraries anew for each process that has it
    /// elsewhere, a MiB each time, and starting a program takes four times as long. No real processor
    /// has such a cost.
    private static let fixedAddresses = "norandmaps"

    private var kernelArguments: String {
        // The initramfs of the other guests finds its disk by its label.
        var words = isWholeSystem ? ["root=/dev/vda", "rw"] : []
        let machine = kernel.platform.machine
        words += ["console=\(machine.console)", "panic=1", "memhp_default_state=online_movable"]
        words += machine.kernelWords + [Self.fixedAddresses]
        if firmwareDumps { words.append("fadump=on") }
        if let crashkernel { words.append("crashkernel=\(crashkernel)") }
        return (words + [commandLine]).joined(separator: " ")
    }
}
