// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// Writes type information as compilers do, for readers of it.
struct SyntheticTypes {
    private var types: [UInt8] = []
    private var strings: [UInt8] = [0]
    private var count: UInt32 = 0

    /// A member to be written; a size in bits makes it a bit field.
    struct Member {
        let name: String
        let type: UInt32
        let bitOffset: UInt32
        var bitSize: UInt32 = 0
    }

    /// Adds a type that is an integer, and returns its number.
    mutating func integer(_ name: String, size: UInt32) -> UInt32 {
        add(kind: 1, name: name, sizeOrType: size, details: [size * 8])
    }

    /// Adds a type that names or qualifies another one.
    mutating func other(kind: UInt32, _ name: String = "", of type: UInt32) -> UInt32 {
        add(kind: kind, name: name, sizeOrType: type, details: [])
    }

    /// Adds an array.
    mutating func array(of type: UInt32, count: UInt32) -> UInt32 {
        add(kind: 3, name: "", sizeOrType: 0, details: [type, type, count])
    }

    /// Adds a structure (kind 4) or a union (kind 5).
    mutating func structure(
        kind: UInt32 = 4, _ name: String, size: UInt32, _ members: [Member]
    ) -> UInt32 {
        let hasBitSizes = members.contains { $0.bitSize > 0 }
        let details = members.flatMap { member in
            [string(member.name), member.type, member.bitSize << 24 | member.bitOffset]
        }
        return add(
            kind: kind, name: name, sizeOrType: size, details: details,
            flags: UInt32(members.count) | (hasBitSizes ? 1 << 31 : 0))
    }

    private mutating func add(
        kind: UInt32, name: String, sizeOrType: UInt32, details: [UInt32], flags: UInt32 = 0
    ) -> UInt32 {
        for word in [string(name), kind << 24 | flags, sizeOrType] + details {
            types.append(littleEndian: word)
        }
        count += 1
        return count
    }

    private mutating func string(_ text: String) -> UInt32 {
        guard !text.isEmpty else { return 0 }
        defer { strings += Array(text.utf8) + [0] }
        return UInt32(strings.count)
    }

    /// All of it, as the kernel shows it.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt16(0xEB9F))
        bytes += [1, 0]
        for word in [24, 0, types.count, types.count, strings.count] {
            bytes.append(littleEndian: UInt32(word))
        }
        return bytes + types + strings
    }

    /// The types of `struct kimage`, with a bit for each kind of support a kernel may have.
    static func kernel(keepsUp member: String? = "hotplug_support") -> [UInt8] {
        var types = SyntheticTypes()
        let long = types.integer("unsigned long", size: 8)
        let int = types.integer("unsigned int", size: 4)
        let pointer = types.other(kind: 2, of: 0)
        let size = types.other(kind: 8, "size_t", of: long)
        let constant = types.other(kind: 10, of: size)
        let buffer = types.structure(
            kind: 5, "", size: 8,
            [
                Member(name: "buf", type: pointer, bitOffset: 0),
                Member(name: "kbuf", type: pointer, bitOffset: 0),
            ])
        let segment = types.structure(
            "kexec_segment", size: 32,
            [
                Member(name: "", type: buffer, bitOffset: 0),
                Member(name: "bufsz", type: constant, bitOffset: 64),
                Member(name: "mem", type: long, bitOffset: 128),
                Member(name: "memsz", type: size, bitOffset: 192),
            ])
        let segments = types.array(of: segment, count: 16)
        let base = UInt32(SyntheticKimage.segments + 16 * 32) * 8
        var members = [
            Member(name: "head", type: long, bitOffset: 0),
            Member(name: "start", type: long, bitOffset: UInt32(SyntheticKimage.entry) * 8),
            Member(name: "nr_segments", type: long, bitOffset: UInt32(SyntheticKimage.count) * 8),
            Member(
                name: "segment", type: segments, bitOffset: UInt32(SyntheticKimage.segments) * 8),
            Member(name: "control_page", type: long, bitOffset: base),
            Member(name: "type", type: int, bitOffset: base + 64, bitSize: 1),
            Member(name: "preserve_context", type: int, bitOffset: base + 65, bitSize: 1),
            Member(name: "file_mode", type: int, bitOffset: base + 66, bitSize: 1),
        ]
        if let member {
            members.append(Member(name: member, type: int, bitOffset: base + 67, bitSize: 1))
        }
        _ = types.structure("kimage", size: UInt32(SyntheticKimage.size), members)
        return types.bytes
    }
}

/// Where the synthetic kernel keeps what, and how its `struct kimage` is written.
struct SyntheticKimage {
    static let entry = 24
    static let count = 56
    static let segments = 64
    static let size = segments + 16 * 32 + 16

    var entryAddress: UInt64
    var listed: [AddressRange]
    var controlPage: UInt64 = 0
    var isFromFiles = true
    var keepsUp = false

    /// The bytes of `struct kimage`.
    var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: SyntheticKimage.size)
        bytes.set(entryAddress, at: SyntheticKimage.entry)
        bytes.set(UInt64(listed.count), at: SyntheticKimage.count)
        for (index, range) in listed.enumerated() {
            let place = SyntheticKimage.segments + index * 32
            bytes.set(range.byteCount / 2, at: place + 8)
            bytes.set(range.start, at: place + 16)
            bytes.set(range.byteCount, at: place + 24)
        }
        bytes.set(controlPage, at: SyntheticKimage.size - 16)
        let bits = 1 | (isFromFiles ? 4 : 0) | (keepsUp ? 8 : 0)
        bytes.set(UInt64(bits), at: SyntheticKimage.size - 8)
        return bytes
    }
}

extension [UInt8] {
    /// Writes a number over the bytes at an offset.
    mutating func set(_ number: some FixedWidthInteger, at offset: Int) {
        var written: [UInt8] = []
        written.append(littleEndian: number)
        replaceSubrange(offset..<offset + written.count, with: written)
    }

    /// The same bytes with some of them changed at random, the same ones for the same generator.
    func flipped(_ count: Int, using generator: inout some RandomNumberGenerator) -> [UInt8] {
        var bytes = self
        for _ in 0..<count {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[place] = UInt8.random(in: 0...255, using: &generator)
        }
        return bytes
    }
}

/// Random numbers that are the same in each run (SplitMix64), so that a failure comes again.
struct Repeatable: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
