// SPDX-License-Identifier: Apache-2.0

/// A partition of a POWER9 server: QEMU's pseries, with memory and CPUs plugged in by DLPAR, which
/// Linux does without the help of a program there.
enum Pseries: EmulatedMachine {
    static let script = ["foreign.sh", "ppc64el"]
    static let kernelScript = ["file-kernel.sh", "ppc64el"]
    static let payloadSuffix = "-ppc64el"
    static let console = "hvc0"
    /// Never compressed; its name says that it is only until 6.12.
    static let kernelFile = "$(ls /boot/vmlinu[xz]-$(uname -r))"
    /// Memory that is plugged in would be for the kernel's own use otherwise, and could not be plugged
    /// out: `memhp_default_state=` is not asked there (drivers/base/memory.c, `memory_subsys_online`).
    static let kernelWords = ["movable_node"]

    static let memory = (megabytes: 2048, crashkernel: "320M")
    static let memoryStart: UInt64 = 0

    /// A CPU other than the first gets no interrupt any more in QEMU 10.0 when it has gone on from a saved
    /// state: so they are offline meanwhile, and started anew.
    static let sleep = (before: sendToSleep, after: wakeUp)

    private static let sendToSleep = """
        cd /sys/devices/system/cpu && for cpu in cpu[1-9]*
        do if [ "$(cat $cpu/online)" = 1 ]; then echo 0 >$cpu/online && echo $cpu; fi
        done >/run/asleep
        """
    private static let wakeUp = """
        cd /sys/devices/system/cpu && while read -r cpu; do echo 1 >$cpu/online; done </run/asleep
        """

    static let reserveHasFirmware = true
    static let processorOfEveryImage: Int? = 0
    /// The hypervisor is asked to stop all others (H_SIGNAL_SYS_RESET), and reaches those that are offline.
    static let processorsOfDumps = "present"

    static let captureCommandLine = "console=hvc0 nr_cpus=1 maxcpus=1 reset_devices panic=1"
    static let captureNeeds = ""

    /// The processor, with its revision: cores that are plugged in must have the same.
    private static let processor = "power9_v2.2"

    static func arguments(_ settings: MachineSettings, _ image: GuestImage) -> [String] {
        let most = settings.mostProcessors
        return [
            // What TCG cannot do, and would refuse to start for.
            "-machine",
            "pseries,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,"
                + "cap-ccf-assist=off,memory-backend=ram",
            "-cpu", processor,
            "-m", "\(settings.memory)M,slots=\(settings.slots),maxmem=64G",
            "-smp", "\(settings.processors),maxcpus=\(most),cores=\(most),threads=1",
            "-nodefaults", "-L", image.firmware,
        ]
    }

    static func processor(core: Int, thread: Int) -> [String: Any] {
        ["driver": "\(processor)-spapr-cpu-core", "id": "cpu-\(core)", "core-id": core]
    }

    /// `/proc/iomem` does not have it there.
    static func reservedMemory(of guest: Machine) throws(GuestError) -> [Range<UInt64>] {
        let words = try guest.expect(
            """
            cd /proc/device-tree/chosen
            cat linux,crashkernel-base linux,crashkernel-size | od -A n -t x8 --endian=big
            """
        ).split(whereSeparator: \.isWhitespace).compactMap { UInt64($0, radix: 16) }
        guard words.count == 2 else { throw .garbled("linux,crashkernel: \(words)") }
        return [words[0]..<words[0] + words[1]]
    }
}
