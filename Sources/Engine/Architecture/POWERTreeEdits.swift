// SPDX-License-Identifier: Apache-2.0

/// What a patch changes in a device tree on POWER alone: the CPUs, and the place of the core header;
/// pure.
extension DeviceTree {
    /// COMMAND_LINE_SIZE of arch/powerpc/include/uapi/asm/setup.h, the terminating NUL included.
    private static let longestCommandLine = 2048

    /// Names the place of the core header in the command line, in KiB as kexec-tools does.
    ///
    /// - Throws: That there is no such command line.
    mutating func name(_ header: UInt64) throws(PatchObstacle) {
        let chosen = root.children.firstIndex { $0.name == "chosen" }
        let line = chosen.flatMap { root.children[$0]["bootargs"]?.text }
        guard let chosen, let line else {
            throw .imageNotUnderstood(because: "its device tree has no command line")
        }
        var parameters = KernelParameters(line)
        parameters.remove(named: [ResidentCommandLine.coreHeader])
        let new = "\(parameters.line) \(ResidentCommandLine.coreHeader)=\(header >> 10)K"
        guard new.utf8.count < DeviceTree.longestCommandLine, header % 1024 == 0 else {
            throw .imageNotUnderstood(because: "its command line would become too long")
        }
        root.children[chosen].set("bootargs", to: Array(new.utf8) + [0])
    }
}

extension DeviceTree.Node {
    /// The threads of a CPU, each by the number that it has as a target of interrupts.
    var threads: [Int] {
        ((self["ibm,ppc-interrupt-server#s"] ?? self["reg"])?.words ?? []).map(Int.init)
    }

    /// Replaces the nodes of CPUs in the tree that this is the root of by those of the machine, with the
    /// size that the page table really has.
    ///
    /// The kernel does the same when it follows a hotplug (arch/powerpc/kexec/file_load_64.c,
    /// `update_cpus_node`).
    mutating func replaceProcessors(by firmware: FirmwareDescription) {
        guard let cpus = children.firstIndex(where: { $0.name == "cpus" }) else { return }
        let first = children[cpus].children.firstIndex(where: \.isProcessor) ?? 0
        children[cpus].children.removeAll(where: \.isProcessor)
        let processors = firmware.processors.map { node in
            var node = node
            if let order = firmware.pageTableOrder { node.setPageTable(order: order) }
            return node
        }
        children[cpus].children.insert(contentsOf: processors, at: first)
    }

    /// Sets the second number of `ibm,pft-size`: the binary logarithm of the table's size.
    private mutating func setPageTable(order: UInt64) {
        guard var words = self["ibm,pft-size"]?.words, !words.isEmpty else { return }
        words[words.count - 1] = UInt32(truncatingIfNeeded: order)
        var value: [UInt8] = []
        for word in words { value.append(bigEndian: word) }
        set("ibm,pft-size", to: value)
    }
}
