// SPDX-License-Identifier: Apache-2.0

/// An arm64 server: QEMU's virt with UEFI and ACPI, by which memory is plugged in.
///
/// It has all its CPUs from the beginning: QEMU plugs none in there, so tests take some offline.
enum Virt: EmulatedMachine {
    static let script = ["foreign.sh", "arm64"]
    static let kernelScript = ["file-kernel.sh", "arm64"]
    static let payloadSuffix = "-arm64"
    static let console = "ttyAMA0"
    static let kernelFile = "/boot/vmlinuz-$(uname -r)"
    /// What it does for kernels at random addresses changes the address space at each system call, and
    /// QEMU then forgets all translations of addresses.
    static let kernelWords = ["kpti=off"]
    static let memory = (megabytes: 2048, crashkernel: "256M")
    static let memoryStart: UInt64 = 1 << 30

    static let reserveHasFirmware = false
    static let processorOfEveryImage: Int? = nil
    static let processorsOfDumps = "online"
    static let sleep = (before: "", after: "")

    /// As on a PC: a capture kernel with ACPI takes a hot-added DIMM for its own memory otherwise.
    static let captureCommandLine =
        "console=ttyAMA0 nr_cpus=1 reset_devices \(captureNeeds) panic=1"
    static let captureNeeds = "acpi_no_memhotplug"

    static func arguments(_ settings: MachineSettings, _ image: GuestImage) -> [String] {
        [
            "-machine", "virt,acpi=on,gic-version=3,memory-backend=ram",
            // It knows pages of all sizes, and no pointer authentication, which is slow to emulate.
            "-cpu", "neoverse-n1",
            "-m", "\(settings.memory)M,slots=\(settings.slots),maxmem=64G",
            "-smp", "\(settings.processors)",
            "-bios", "\(image.tools)/firmware", "-L", image.firmware,
            // With it the firmware has random numbers, and the kernel a random place, as on real servers.
            "-device", "virtio-rng-pci",
        ]
    }

    /// QEMU refuses it.
    static func processor(core: Int, thread: Int) -> [String: Any] { [:] }

    static func reservedMemory(of guest: Machine) throws(GuestError) -> [Range<UInt64>] {
        try guest.ranges(named: "Crash kernel")
    }
}
