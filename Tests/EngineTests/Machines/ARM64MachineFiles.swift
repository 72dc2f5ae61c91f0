// SPDX-License-Identifier: Apache-2.0

import Foundation

@testable import Engine

/// What an engine sees of a synthetic machine on arm64.
extension ARM64Machine {
    /// The machine as it is.
    var live: LiveSystem {
        LiveSystem(
            ram: AddressRanges(ram).subtracting(AddressRanges([ARM64Machine.reserved])),
            cpus: NumberSet(Set(0..<cpus)))
    }

    /// Writes the machine's files.
    func recorded() throws -> RecordedMachine {
        func line(_ range: AddressRange) -> String {
            "\(String(range.start, radix: 16))-\(String(range.end - 1, radix: 16))"
        }
        let reserved = "  \(line(ARM64Machine.reserved)) : Crash kernel\n"
        let data = "  \(line(ARM64Machine.text)) : Kernel data\n"
        let lines = ram.enumerated().map { index, range in
            "\(line(range)) : System RAM\n" + (index == 0 ? data + reserved : "")
        }
        let cpus = "/sys/devices/system/cpu"
        let machine = try RecordedMachine([
            "/proc/iomem": lines.joined(),
            "/proc/kallsyms": "ffff800080010000 T _stext\n"
                + (isListed
                    ? "\(String(ARM64Machine.pointer, radix: 16)) B kexec_crash_image\n" : ""),
            "/sys/kernel/vmcoreinfo": "0x\(String(ARM64Machine.kernelNote, radix: 16)) 1000\n",
            "/sys/kernel/kexec_crash_loaded": "1\n",
            "\(cpus)/possible": "0-3\n",
            "\(cpus)/present": live.cpus.description + "\n",
        ])
        for cpu in 0..<self.cpus {
            try machine.write(
                String(ARM64Machine.note(cpu), radix: 16) + "\n",
                to: "\(cpus)/cpu\(cpu)/crash_notes")
            try machine.write("424\n", to: "\(cpus)/cpu\(cpu)/crash_notes_size")
        }
        _ = try machine.file("/proc/kcore", Data(kcore))
        _ = try machine.file("/sys/kernel/btf/vmlinux", Data(SyntheticTypes.kernel(keepsUp: nil)))
        return machine
    }

    /// The virtual address of `kexec_crash_image`.
    static let pointer: UInt64 = text.start + 0x1_0040 &+ textDistance
    /// Where `struct kimage` is, by its offset in the kernel's memory; it was allocated, so the
    /// pointer is to RAM as it is mapped there.
    static let place: UInt64 = 0x1_8000

    /// The kernel's memory: pointers to all kinds of things, one of them to the list.
    private var kernelData: [UInt8] {
        var data = [UInt8](repeating: 0, count: Int(ARM64Machine.text.byteCount))
        for index in 0..<0x40 {
            let target = ARM64Machine.text.start + UInt64(index * 0x400) &+ ARM64Machine.directMap
            data.set(target, at: 0x1_4000 + index * 8)
        }
        for index in 0..<pointers {
            data.set(
                ARM64Machine.text.start + ARM64Machine.place &+ ARM64Machine.directMap,
                at: 0x1_0040 + index * 8)
        }
        let place = Int(ARM64Machine.place)
        data.replaceSubrange(place..<place + kimage.bytes.count, with: kimage.bytes)
        return data
    }

    /// Two views of the kernel, and one of reserved memory; vmalloc has no physical address.
    private var kcore: [UInt8] {
        var shown = memory
        if hides {
            for range in kimage.listed {
                let start = Int(range.start - ARM64Machine.base)
                shown.replaceSubrange(
                    start..<start + Int(range.byteCount),
                    with: [UInt8](repeating: 0, count: Int(range.byteCount)))
            }
        }
        let (text, base) = (ARM64Machine.text, ARM64Machine.base)
        var header = Array(coreHeader()[..<64])
        header.set(UInt16(4), at: 56)
        header += ARM64Machine.entry(1, .max, 0x1000, 0xFFFF_8000_8800_0000, 0)
        header += ARM64Machine.entry(
            1, text.start, 0x1000, text.start &+ ARM64Machine.textDistance, text.byteCount)
        header += ARM64Machine.entry(
            1, text.start, 0x1000, text.start &+ ARM64Machine.directMap, text.byteCount)
        header += ARM64Machine.entry(
            1, base, 0x1000 + text.byteCount, base &+ ARM64Machine.directMap, UInt64(memory.count))
        return header + [UInt8](repeating: 0, count: 4096 - header.count) + kernelData + shown
    }
}

/// What a test does with such a machine.
extension ARM64Machine {
    var architecture: Architecture { .arm64(pageSize: page) }

    /// Looks at it with an engine that knows nothing.
    func look() throws -> (Engine.Look, RecordedMachine) {
        let recorded = try recorded()
        var engine = Engine(root: recorded.root, source: nil, architecture: architecture)
        return (try engine.look(.thorough, now: { 0 }), recorded)
    }

    func plan(
        adjust: (inout Observation) -> Void = { _ in }
    ) throws -> (PatchPlan, RecordedMachine) {
        let (look, recorded) = try look()
        var seen = look.observation
        adjust(&seen)
        return (try PatchPlan(for: seen), recorded)
    }

    /// Patches it, and returns what was listed.
    static func patch(_ machine: inout ARM64Machine) throws -> [AddressRange] {
        let (plan, recorded) = try machine.plan()
        let reserved = AddressRanges([ARM64Machine.reserved])
        let patch = try Patch.prepare(
            plan, below: recorded.root, laidOut: KernelLayout(of: recorded.root), within: reserved)
        guard let patch else { return [] }
        machine.load(patch.segments, entry: plan.entry)
        return patch.segments.map(\.range)
    }
}
