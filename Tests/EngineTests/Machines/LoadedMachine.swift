// SPDX-License-Identifier: Apache-2.0

import Foundation

@testable import Engine

/// A machine with a loaded crash image, small enough to be made anew for each test.
///
/// It is laid out as the kernel lays one out on x86: the core header at the bottom of reserved
/// memory; initrd, kernel, boot parameters and purgatory at the top. Everything the audit reads is
/// there: `/proc/kcore` with the image, the kernel's `struct kimage` and its pointer to them,
/// symbols, types, the CPUs' notes.
struct LoadedMachine {
    static let reserved = AddressRange(start: 0x1000_0000, end: 0x1010_0000)
    static let header = AddressRange(start: 0x1000_0000, end: 0x1000_2000)
    static let initrd = AddressRange(start: 0x1008_0000, end: 0x1009_0000)
    static let kernel = AddressRange(start: 0x1009_0000, end: 0x100E_0000)
    static let parameters = AddressRange(start: 0x100F_0000, end: 0x100F_2000)
    static let purgatory = AddressRange(start: 0x100F_A000, end: 0x1010_0000)
    /// Where an encrypted dump target's keys lie in the image, if it has some.
    static let keys = AddressRange(start: 0x1003_0000, end: 0x1003_1000)
    static let entry: UInt64 = 0x100F_A160
    static let table: UInt64 = 0x100F_D0E0
    static let digest: UInt64 = 0x100F_D1E0
    static let segments = [header, purgatory, parameters, kernel, initrd]
    static let notes: [Int: UInt64] = [0: 0x3FC_3D800, 1: 0x3FC_BD800]
    static let kernelNote: UInt64 = 0x11E_A000
    static let commandLine = "elfcorehdr=0x10000000 console=ttyS0 nr_cpus=1"

    /// What lies in reserved memory.
    var memory: [UInt8]
    /// The kernel's `struct kimage`; `nil` where nothing is loaded.
    var kimage: SyntheticKimage?
    var types = SyntheticTypes.kernel()
    var symbols = "ffffffff82000040 B kexec_crash_image\n"
    /// What lies below reserved memory, and above it a DIMM where one was added.
    var ram = [AddressRange(start: 0x10_0000, end: 0x4000_0000)]

    /// Makes a machine whose image is whole and covers RAM below 1 GiB and two CPUs.
    init(coveringHeader: Bool = true) throws {
        memory = [UInt8](repeating: 0, count: Int(LoadedMachine.reserved.byteCount))
        kimage = SyntheticKimage(
            entryAddress: LoadedMachine.entry, listed: LoadedMachine.segments,
            controlPage: 0x1000_8000)
        var generator = Repeatable(7)
        for range in [LoadedMachine.initrd, LoadedMachine.kernel, LoadedMachine.purgatory] {
            // Half of a segment is zeros behind what was copied.
            let size = Int(range.byteCount / 2)
            put((0..<size).map { _ in .random(in: 1...255, using: &generator) }, at: range.start)
        }
        put(LoadedMachine.coreHeader(), at: LoadedMachine.header.start)
        putParameters(LoadedMachine.commandLine)
        let covered = LoadedMachine.segments.filter { range in
            range != LoadedMachine.purgatory && (coveringHeader || range != LoadedMachine.header)
        }
        try writeDigest(covered)
    }

    /// Writes bytes into reserved memory.
    mutating func put(_ bytes: [UInt8], at address: UInt64) {
        let start = Int(address - LoadedMachine.reserved.start)
        memory.replaceSubrange(start..<start + bytes.count, with: bytes)
    }

    func bytes(_ range: AddressRange) -> ArraySlice<UInt8> {
        let start = Int(range.start - LoadedMachine.reserved.start)
        return memory[start..<start + Int(range.byteCount)]
    }

    mutating func putParameters(_ commandLine: String) {
        var page = [UInt8](repeating: 0, count: 0x1100)
        page.set(UInt32(0x5372_6448), at: 0x202)
        page.set(UInt16(0x020F), at: 0x206)
        page.set(UInt32(LoadedMachine.parameters.start + 0x1000), at: 0x228)
        page.set(UInt32(LoadedMachine.initrd.start), at: 0x218)
        page.replaceSubrange(0x1000..<0x1000 + commandLine.utf8.count, with: commandLine.utf8)
        put(page, at: LoadedMachine.parameters.start)
    }

    /// Adds the keys of an encrypted dump target, as `kexec_file_load` does; `address` is what the command
    /// line says of their place.
    mutating func addKeys(at address: UInt64 = keys.start, coveringHeader: Bool = false) throws {
        put([1, 0, 0, 0] + (0..<388).map { UInt8($0 % 251 + 1) }, at: LoadedMachine.keys.start)
        kimage?.listed.append(LoadedMachine.keys)
        kimage?.keepsUp = true
        putParameters(
            "elfcorehdr=0x10000000 dmcryptkeys=0x\(String(address, radix: 16)) nr_cpus=1")
        let covered = LoadedMachine.segments.filter { range in
            range != LoadedMachine.purgatory && (coveringHeader || range != LoadedMachine.header)
        }
        try writeDigest([LoadedMachine.keys] + covered)
    }

    /// Has the keys read as zeros, as a kernel does that hides them.
    mutating func hideKeys() {
        put([UInt8](repeating: 0, count: 392), at: LoadedMachine.keys.start)
    }

    /// Writes the table of regions and the digest over them.
    mutating func writeDigest(_ regions: [AddressRange]) throws {
        var table: [UInt8] = []
        for region in regions {
            table.append(littleEndian: region.start)
            table.append(littleEndian: region.byteCount)
        }
        put(table + [UInt8](repeating: 0, count: 256 - table.count), at: LoadedMachine.table)
        let digest = try Digest()
        for region in regions { try digest.add(Array(bytes(region))) }
        put(try digest.finish(), at: LoadedMachine.digest)
    }

    /// A header as the kernel makes it, for two CPUs and RAM that ends where `ramEnd` says.
    static func coreHeader(
        ramEnd: UInt64 = 0x4000_0000, notes: [UInt64] = LoadedMachine.notes.values.sorted()
    ) -> [UInt8] {
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0] + Array(repeating: 0, count: 8)
        for half in [4, 62] { bytes.append(littleEndian: UInt16(half)) }
        bytes.append(littleEndian: UInt32(1))
        for double in [0, 64, 0] { bytes.append(littleEndian: UInt64(double)) }
        bytes.append(littleEndian: UInt32(0))
        for half in [64, 56, notes.count + 4, 0, 0, 0] { bytes.append(littleEndian: UInt16(half)) }
        let direct: UInt64 = 0xFFFF_8880_0000_0000
        for note in notes { bytes += entry(4, note, 0, 0x170) }
        bytes += entry(4, kernelNote, 0, 0x400)
        bytes += entry(1, 0x100_0000, 0xFFFF_FFFF_8100_0000, 0x200_0000)
        bytes += entry(1, 0x10_0000, direct + 0x10_0000, reserved.start - 0x10_0000)
        bytes += entry(1, reserved.end, direct + reserved.end, ramEnd - reserved.end)
        return bytes
    }

    private static func entry(
        _ type: UInt32, _ physical: UInt64, _ virtual: UInt64, _ size: UInt64
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: type)
        bytes.append(littleEndian: UInt32(type == 1 ? 7 : 0))
        for number in [physical, virtual, physical, size, size, 0] {
            bytes.append(littleEndian: number)
        }
        return bytes
    }
}

extension LoadedMachine {
    /// `/proc/kcore`: the kernel's data, where its pointer and its image are, and reserved memory.
    var kcore: [UInt8] {
        let kernelData: UInt64 = 0xFFFF_FFFF_8200_0000
        var data = [UInt8](repeating: 0, count: 4096)
        if let kimage {
            data.set(kernelData + 0x100, at: 0x40)
            data.replaceSubrange(0x100..<0x100 + kimage.bytes.count, with: kimage.bytes)
        }
        var header = LoadedMachine.coreHeader(notes: [])
        header.set(UInt16(3), at: 56)
        header = Array(header[..<64])
        let loads: [(offset: UInt64, virtual: UInt64, physical: UInt64, size: Int)] = [
            (0x1000, 0xFFFF_C900_0000_0000, .max, 4096),
            (0x1000, kernelData, .max - 4095, data.count),
            (
                0x2000, 0xFFFF_8880_0000_0000 + LoadedMachine.reserved.start,
                LoadedMachine.reserved.start, memory.count
            ),
        ]
        for load in loads {
            for word in [UInt32(1), 7] { header.append(littleEndian: word) }
            for number in [load.offset, load.virtual, load.physical] {
                header.append(littleEndian: number)
            }
            for number in [load.size, load.size, 4096] {
                header.append(littleEndian: UInt64(number))
            }
        }
        return header + [UInt8](repeating: 0, count: 4096 - header.count) + data + memory
    }

    /// Writes the machine's files.
    func recorded() throws -> RecordedMachine {
        let machine = try RecordedMachine([
            "/proc/kallsyms": symbols,
            "/sys/kernel/vmcoreinfo": "0x\(String(LoadedMachine.kernelNote, radix: 16)) 1024\n",
            "/sys/devices/system/cpu/possible": "0-3\n",
        ])
        for (cpu, note) in LoadedMachine.notes {
            try machine.write(
                String(note, radix: 16) + "\n", to: "/sys/devices/system/cpu/cpu\(cpu)/crash_notes")
        }
        _ = try machine.file("/proc/kcore", Data(kcore))
        _ = try machine.file("/sys/kernel/btf/vmlinux", Data(types))
        return machine
    }

    /// The machine as it is.
    var live: LiveSystem {
        LiveSystem(
            ram: AddressRanges(ram).subtracting(AddressRanges([LoadedMachine.reserved])),
            cpus: NumberSet(Set(LoadedMachine.notes.keys)))
    }

    /// Where its CPUs leave their registers.
    var notes: Fact<ProcessorNotes> {
        .known(
            ProcessorNotes(
                addresses: LoadedMachine.notes, possible: NumberSet([0, 1, 2, 3]),
                kernelNote: LoadedMachine.kernelNote))
    }

    /// Audits the machine as it would be below `/`.
    func audit(
        _ depth: Engine.Depth = .thorough, on architecture: Architecture = .x86,
        digest: PurgatoryDigest? = nil
    ) throws -> Audit.Report {
        let machine = try recorded()
        var audit = Audit(below: machine.root, digest: digest, architecture: architecture)
        var report = audit.run(
            reserved: [LoadedMachine.reserved], live: live,
            notes: try ProcessorNotes.read(of: live.cpus, below: machine.root))
        guard depth != .cheap, let layout = audit.layout, var work = report.work else {
            return report
        }
        var tries = Tries()
        try report.computeDigest(
            by: &work, below: machine.root, laidOut: layout,
            within: AddressRanges([LoadedMachine.reserved]), tries: &tries, beat: {})
        return report
    }
}

extension Audit.Report {
    /// How the machine that the image describes differs from `live`.
    func coverage(of live: LiveSystem) -> Fact<Coverage> {
        described.map { Coverage(live: live, described: $0, offline: offline) }
    }
}
