// SPDX-License-Identifier: Apache-2.0

import Foundation

@testable import Engine

/// What an engine sees of a synthetic machine on POWER.
extension POWERMachine {
    /// The machine as it is.
    var live: LiveSystem {
        let outside = AddressRanges([POWERMachine.reserved, AddressRange(start: 0, end: 0x10000)])
        return LiveSystem(
            ram: AddressRanges(ram).subtracting(outside), cpus: NumberSet(Set(cores.indices)))
    }

    /// Writes the machine's files.
    func recorded() throws -> RecordedMachine {
        let lines = ram.map { range in
            "\(String(range.start, radix: 16))-\(String(range.end - 1, radix: 16)) : System RAM\n"
        }
        let cpus = "/sys/devices/system/cpu"
        let machine = try RecordedMachine([
            "/proc/iomem": lines.joined(),
            "/proc/kallsyms": isListed ? "c000000002000040 B kexec_crash_image\n" : "",
            "/sys/kernel/vmcoreinfo": "0x\(String(POWERMachine.kernelNote, radix: 16)) 1024\n",
            "/sys/kernel/kexec_crash_loaded": "1\n",
            "\(cpus)/possible": "0-3\n",
            "\(cpus)/present": NumberSet(Set(cores.indices)).description + "\n",
        ])
        for (cpu, threads) in cores.enumerated() {
            try machine.write(
                String(POWERMachine.note(cpu), radix: 16) + "\n",
                to: "\(cpus)/cpu\(cpu)/crash_notes")
            try machine.write("\(threads[0])\n", to: "\(cpus)/cpu\(cpu)/physical_id")
        }
        if let pageTableOrder {
            try machine.write("\(pageTableOrder)\n", to: "/sys/kernel/debug/powerpc/hpt_order")
        }
        try recordTree(in: machine)
        _ = try machine.file("/proc/kcore", Data(kcore))
        if isListed {
            _ = try machine.file("/sys/kernel/btf/vmlinux", Data(SyntheticTypes.kernel()))
        }
        return machine
    }

    private func recordTree(in machine: RecordedMachine) throws {
        let folder = "/proc/device-tree"
        for (name, number) in [
            ("base", POWERMachine.base), ("size", POWERMachine.reserved.byteCount),
        ] {
            _ = try machine.file(
                "\(folder)/chosen/linux,crashkernel-\(name)", Data(Array(bigEndian: number)))
        }
        let tree = SyntheticDeviceTree(commandLine: "", initrd: 0, cpus: cores, reservations: [])
        for node in tree.root.children[0].children {
            for (name, value) in node.properties + [("name", [0x78, 0])] {
                _ = try machine.file("\(folder)/cpus/\(node.name)/\(name)", Data(value))
            }
        }
    }

    private var kcore: [UInt8] {
        let data: UInt64 = POWERMachine.directMap + 0x200_0000
        var kernelData = [UInt8](repeating: 0, count: 4096)
        kernelData.set(data + 0x100, at: 0x40)
        kernelData.replaceSubrange(0x100..<0x100 + kimage.bytes.count, with: kimage.bytes)
        var header = coreHeader()
        header.set(UInt16(2), at: 56)
        header = Array(header[..<64])
        header += entry(1, 0x200_0000, 0x1000, data, 4096)
        header += entry(
            1, POWERMachine.base, 0x2000, POWERMachine.directMap + POWERMachine.base,
            UInt64(memory.count))
        return header + [UInt8](repeating: 0, count: 4096 - header.count) + kernelData + memory
    }
}
