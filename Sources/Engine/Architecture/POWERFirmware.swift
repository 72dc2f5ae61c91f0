// SPDX-License-Identifier: Apache-2.0

/// What is asked of the firmware on POWER, and of the kernel about the page table.
enum POWERFirmware {
    private static let folder = "/proc/device-tree/cpus"
    /// `ppc64_pft_size` of arch/powerpc/mm/book3s64/hash_utils.c: 0 where the MMU has no such table.
    private static let order = "/sys/kernel/debug/powerpc/hpt_order"

    /// Asks for the CPUs and the page table of the machine below `root`.
    static func describe(below root: SystemRoot) -> Fact<FirmwareDescription> {
        do throws(SystemError) {
            let first = try processors(below: root)
            // It is a tree of files: a hotplug in between tears it.
            guard try processors(below: root) == first else {
                return .unknown(
                    because: "the device tree keeps changing: a CPU is being hot-plugged")
            }
            guard !first.isEmpty else {
                return .unknown(because: "the device tree names no CPU")
            }
            return .known(
                FirmwareDescription(
                    processors: first, pageTableOrder: pageTableOrder(below: root)))
        } catch {
            return .unknown(because: "\(error)")
        }
    }

    private static func processors(below root: SystemRoot) throws(SystemError) -> [DeviceTree.Node]
    {
        try DeviceTree.Node(at: folder, below: root).children.filter(\.isProcessor)
    }

    /// The binary logarithm of the size of the hashed page table; `nil` if the MMU has none, or if debugfs
    /// cannot be read.
    static func pageTableOrder(below root: SystemRoot) -> UInt64? {
        (try? root.line(of: order)).flatMap { UInt64($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    /// Says why a capture kernel with a device tree cannot use the page table that there is.
    ///
    /// A hypervisor gives a guest another table when memory comes, and the running kernel goes on telling
    /// the size of the first one (`ibm,pft-size`). The capture kernel believes it, and hangs.
    static func flaw(of tree: DeviceTree, below root: SystemRoot) -> String? {
        guard let real = pageTableOrder(below: root) else { return nil }
        let told = tree.root.child("cpus")?.children.first { $0.isProcessor }?["ibm,pft-size"]
        guard let order = told?.words.last.map(UInt64.init), order != real else { return nil }
        return "its device tree gives the page table 2^\(order) bytes, and the machine's has"
            + " 2^\(real), so the capture kernel would hang"
    }
}

extension DeviceTree.Node {
    /// Whether it stands for a CPU and not for a cache.
    var isProcessor: Bool { self["device_type"]?.text == "cpu" }
}
