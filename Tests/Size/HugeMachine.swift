// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// A machine with thousands of CPUs and ranges of RAM, made up, with an image that no longer fits it.
///
/// Its parts are spread as on NUMA machines: half of the possible CPUs are present, a quarter has gone
/// since the image was loaded, each node's notes are elsewhere, and there is a hole after each range.
struct HugeMachine {
    /// A step and its name in the table.
    struct Step {
        let name: String
        let run: () throws -> Void
    }

    /// How many CPUs are possible.
    let cpus: Int
    /// How many ranges of RAM there are.
    let ranges: Int
    /// The numbers of its memory blocks, in no order, as a directory lists them.
    let blocks: [UInt64]

    private let live: LiveSystem
    private let notes: ProcessorNotes
    private let header: CoreHeader
    private let map: String
    private let list: Substring

    /// The size of a memory block in bytes, the smallest on x86.
    private static let blockSize: UInt64 = 128 << 20
    private static let nodes = 8

    init(cpus: Int, ranges: Int, blocksInRange: UInt64) throws {
        (self.cpus, self.ranges) = (cpus, ranges)
        let ram = (0..<UInt64(ranges)).map { place in
            let start = place * (blocksInRange + 1) * Self.blockSize
            return AddressRange(start: start, end: start + blocksInRange * Self.blockSize)
        }
        var order = SystemRandomNumberGenerator()
        blocks = ram.flatMap { $0.start / Self.blockSize..<$0.end / Self.blockSize }
            .shuffled(using: &order)
        let present = Set((0..<cpus).filter { $0 % 2 == 0 })
        let note: (Int) -> UInt64 = { cpu in
            let (node, place) = cpu.quotientAndRemainder(dividingBy: cpus / Self.nodes)
            return UInt64(node + 1) << 40 + UInt64(place) << 19
        }
        live = LiveSystem(ram: AddressRanges(ram), cpus: NumberSet(present))
        notes = ProcessorNotes(
            addresses: Dictionary(uniqueKeysWithValues: present.map { ($0, note($0)) }),
            possible: NumberSet(Set(0..<cpus)), kernelNote: 0x1000)
        header = try Self.header(
            notes: (0..<cpus).filter { $0 % 2 == 0 || $0 % 4 == 1 }.map(note) + [0x1000],
            ram: ram.filter { $0.start != ram[ranges / 2].start })
        map = ram.map { range in
            "\(String(range.start, radix: 16))-\(String(range.end - 1, radix: 16)) : System RAM\n"
        }.joined()
        list = Substring("\(live.cpus)")
    }

    /// A core header such as the kernel makes.
    private static func header(notes: [UInt64], ram: [AddressRange]) throws -> CoreHeader {
        // ELF64, little-endian, a core of x86_64, no entries yet.
        var bytes: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + Array(repeating: 0, count: 57)
        (bytes[16], bytes[18], bytes[20], bytes[32], bytes[52], bytes[54]) = (4, 62, 1, 64, 64, 56)
        var header = try CoreHeader(bytes)
        header.entries = notes.map { note in
            CoreHeader.Entry(
                type: 4, flags: 0, offset: note, virtual: 0, physical: note, fileSize: 1_024,
                memorySize: 1_024, alignment: 0)
        }
        header.entries += ram.map { range in
            CoreHeader.Entry(
                type: 1, flags: 7, offset: range.start,
                virtual: range.start &+ 0xFFFF_8880_0000_0000, physical: range.start,
                fileSize: range.byteCount, memorySize: range.byteCount, alignment: 0)
        }
        return header
    }

    /// The pure steps of a look and of a patch whose work grows with the machine.
    var steps: [Step] {
        let bytes = header.encoded()
        let described = CoreDescription(of: header, kernelNote: notes.kernelNote)
        let known = LiveSystem(ram: described.ram, cpus: notes.cpus(at: described.cpuNotes))
        let plan = HeaderPlan(old: header, live: live, notes: notes, kept: AddressRanges())
        return [
            Step(name: "memory map") { _ = try MemoryMap(iomem: map) },
            Step(name: "list of CPUs") { _ = NumberSet(list: list) },
            Step(name: "memory blocks") {
                _ = BlockMap(of: live.ram, size: Self.blockSize, present: blocks)
                    .parts { _, isPresent in !isPresent }
            },
            Step(name: "core header") { _ = try CoreHeader(bytes) },
            Step(name: "what the header describes") {
                _ = CoreDescription(of: header, kernelNote: notes.kernelNote)
            },
            Step(name: "CPUs of the header") { _ = notes.cpus(at: described.cpuNotes) },
            Step(name: "coverage") { _ = Coverage(live: live, described: known) },
            Step(name: "look ahead") {
                _ = Ahead(live, leaving: AddressRanges(), described: known, kernelUpdates: false)
            },
            Step(name: "new header") { _ = try plan.header().encoded() },
            Step(name: "CPUs in words") { _ = "\(live.cpus)" },
        ]
    }
}
