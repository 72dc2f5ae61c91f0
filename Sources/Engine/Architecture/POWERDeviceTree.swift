// SPDX-License-Identifier: Apache-2.0

/// What the device tree of a crash image tells a capture kernel on POWER.
///
/// Both loaders copy the tree of the running machine and add the command line, the initrd, and the
/// memory that must be left alone (kexec-tools' fs2dt.c; drivers/of/kexec.c). A kernel looks for the
/// CPU that it boots on in it. If it does not find that CPU it dies before there is a console
/// (arch/powerpc/kernel/prom.c, `early_init_devtree`).
struct POWERDeviceTree {
    let tree: DeviceTree

    /// What the tree says, if it lies at the physical address `start`.
    func bootData(at start: UInt64) -> Architecture.BootData {
        let chosen = tree.root.child("chosen")
        guard let line = chosen?["bootargs"] else {
            return .unusable(because: "its device tree has no command line")
        }
        return Architecture.BootData(
            commandLine: start + UInt64(line.place), longestCommandLine: UInt64(line.value.count),
            initrd: chosen?["linux,initrd-start"]?.number ?? 0, bootProcessors: processors,
            spared: AddressRanges(tree.reservations), tree: tree)
    }

    /// The threads of all CPUs, each by the number that it has as a target of interrupts.
    private var processors: NumberSet {
        let nodes = tree.root.child("cpus")?.children ?? []
        return NumberSet(Set(nodes.filter(\.isProcessor).flatMap(\.threads)))
    }
}
