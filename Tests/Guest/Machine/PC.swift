// SPDX-License-Identifier: Apache-2.0

/// The PC that most guests are: QEMU's q35, with memory and CPUs plugged in by ACPI.
enum PC: EmulatedMachine {
    static let script = ["make.sh"]
    static let kernelScript = ["keys-kernel.sh"]
    static let payloadSuffix = ""
    static let console = "ttyS0"
    static let kernelFile = "/boot/vmlinuz-$(uname -r)"
    static let kernelWords = [kernelQuirk, delayLoop]
    static let reserveHasFirmware = false
    static let processorOfEveryImage: Int? = nil
    static let processorsOfDumps = "online"
    static let sleep = (before: "", after: "")
    static let memory = (megabytes: 1024, crashkernel: "192M")
    static let memoryStart: UInt64 = 0

    /// Without `acpi_no_memhotplug` it takes a hot-added DIMM for its own memory, and reading the
    /// DIMM from `/proc/vmcore` then fails.
    static let captureCommandLine =
        "console=ttyS0 nr_cpus=1 reset_devices irqpoll \(captureNeeds) panic=1 " + kernelQuirk
    static let captureNeeds = "acpi_no_memhotplug"

    /// Keeps the kernel from using CMPXCHG16B, bit 13 of word 4 (arch/x86/include/asm/cpufeatures.h).
    ///
    /// QEMU 7.2 leaves rubbish in the flags after it now and then. The allocator of kernels since 6.5
    /// uses it, and some boots ended in a double fault or a debug exception at the next instruction.
    /// The source of 10.0.13 is mended. Programs go on seeing it: those in Swift need it.
    private static let kernelQuirk = "clearcpuid=141"

    /// Tells the kernel how many ticks of its clock a jiffy of 4 ms has: those of 2 GHz.
    ///
    /// It would measure that at boot for each CPU beside the first (init/calibrate.c,
    /// `calibrate_delay_direct`). On a busy host the result has been wrong by a factor of three, and a
    /// saved guest keeps it. No emulated device depends on the length of a delay.
    private static let delayLoop = "lpj=8000000"

    static func arguments(_ settings: MachineSettings, _ image: GuestImage) -> [String] {
        let processors = settings.processors
        let sockets = settings.mostProcessors / settings.threads
        return [
            // A kernel ≥ 6.9 that believes it is on bare metal ignores CPUs that were not there at
            // boot. TCG's own signature it does not know, VMware's it does.
            "-cpu", "qemu64,-hypervisor",
            "-machine", "q35,vmport=on,memory-backend=ram",
            "-smbios", "type=1,serial=VMware-kdump",
            // A big DIMM brings a gigabyte of `struct page`, hence the room at the top.
            "-m", "\(settings.memory)M,slots=\(settings.slots),maxmem=256G",
            "-smp",
            "\(processors),maxcpus=\(settings.mostProcessors),sockets=\(sockets),cores=1,"
                + "threads=\(settings.threads)",
        ]
    }

    static func processor(core: Int, thread: Int) -> [String: Any] {
        [
            "driver": "qemu64-x86_64-cpu",
            "id": thread == 0 ? "cpu-\(core)" : "cpu-\(core)-\(thread)",
            "socket-id": core, "core-id": 0, "thread-id": thread,
        ]
    }

    static func reservedMemory(of guest: Machine) throws(GuestError) -> [Range<UInt64>] {
        try guest.ranges(named: "Crash kernel")
    }
}
