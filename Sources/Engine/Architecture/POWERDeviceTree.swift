// SPDX-License-Identifier: Apache-2.0

/// What the device tree of a crash image tells a capture kernel on POWER.
///
/// Both loaders copy the tree of the running machine and add the command line, the initrd, and the
/// memory that must be left alone (kexec-tools' fs2dt.c; drivers/of/kexec.c). A kernel looks for the
/// CPU that it boots on in it. If it does not find that CPU it dies before there is a console
/// (arch/powerpc/kernel/prom.c, `early_init_devtree`).
struct POWERDeviceTree {
    let tree: DeviceTree

    /// The largest that is read, in bytes: one with 4096 CPUs has 3 MB.
    private static let largest = 16 << 20

    /// Reads the boot data of the device tree in `segment`; `nil` if there is none.
    ///
    /// - Throws: Why memory cannot be read.
    static func bootData(
        _ segment: Architecture.Segment, in kcore: Kcore
    ) throws(Unknowable) -> Architecture.BootData? {
        guard let size = DeviceTree.byteCount(prefix: segment.head) else { return nil }
        guard size <= largest, UInt64(size) <= segment.range.byteCount else {
            return unusable(because: "its device tree is larger than its place")
        }
        let bytes = try kcore.bytes(size, at: segment.range.start)
        do throws(DeviceTree.Flaw) {
            return POWERDeviceTree(tree: try DeviceTree(bytes)).bootData(at: segment.range.start)
        } catch {
            return unusable(because: "its device tree is damaged")
        }
    }

    private static func unusable(because flaw: String) -> Architecture.BootData {
        Architecture.BootData(commandLine: 0, longestCommandLine: 0, initrd: 0, flaw: flaw)
    }

    /// What the tree says, if it lies at the physical address `start`.
    func bootData(at start: UInt64) -> Architecture.BootData {
        let chosen = tree.root.child("chosen")
        guard let line = chosen?["bootargs"] else {
            return POWERDeviceTree.unusable(because: "its device tree has no command line")
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
