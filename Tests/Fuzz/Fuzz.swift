// SPDX-License-Identifier: Apache-2.0
//
// What libFuzzer calls: one function, and in it the parser that FUZZ_TARGET names. It is compiled
// together with the engine's sources by run.sh and is no part of the package's build. A parser fails
// by crashing; a round trip that does not come back as it went is made to.

import Glibc

/// The parsers of what the kernel, reserved memory or a configuration gives.
enum FuzzTarget: String, CaseIterable {
    case iomem, kallsyms, kcore, types, header, regions, image, parameters, shell, tree, contents,
        entry

    /// The one that the environment names.
    static let chosen: FuzzTarget = {
        let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
        guard let target = FuzzTarget(rawValue: name) else {
            fatalError("FUZZ_TARGET must be one of \(allCases.map(\.rawValue))")
        }
        return target
    }()

    /// Feeds the parser.
    func feed(_ bytes: [UInt8]) {
        switch self {
        case .iomem:
            guard let map = try? MemoryMap(iomem: String(decoding: bytes, as: UTF8.self)) else {
                return
            }
            precondition(!map.systemRAM.isEmpty)
        case .kallsyms:
            feedSymbols(bytes)
        case .kcore, .header:
            guard let header = try? CoreHeader(bytes) else { return }
            precondition(bytes.starts(with: header.encoded()))
            _ = CoreDescription(of: header, kernelNote: header.entries.first?.physical)
            if let mapping = KernelMapping(header.entries) {
                precondition(mapping.ram.contains(mapping.text.range))
                _ = mapping.flaw(of: header)
            }
        case .types:
            guard let types = try? BTF(btf: bytes) else { return }
            _ = Kimage.Layout(in: types)
        case .regions:
            feedRegions(bytes)
        case .image:
            feedImage(bytes)
        case .parameters:
            _ = X86SetupHeader(bytes)?.bootData
            _ = X86SetupHeader(bytes)?.kernelNeeds
            _ = ResidentCommandLine.coreHeader(in: String(decoding: bytes, as: UTF8.self))
        case .shell:
            feedShell(bytes)
        case .tree:
            feedTree(bytes)
        case .contents:
            feedContents(bytes)
        case .entry:
            feedEntry(bytes)
        }
    }

    /// The text whole and in parts must give the same.
    private func feedSymbols(_ bytes: [UInt8]) {
        var whole = KernelSymbols(searchingFor: "kexec_crash_image")
        let found = whole.feed(bytes[...])
        guard let size = bytes.first.map({ Int($0 % 64) + 1 }) else { return }
        var search = KernelSymbols(searchingFor: "kexec_crash_image")
        for start in stride(from: 0, to: bytes.count, by: size) {
            if let again = search.feed(bytes[start..<min(start + size, bytes.count)]) {
                precondition(again == found)
                return
            }
        }
        precondition(found == nil)
    }

    /// What is read, and quoted again, must be read as the same.
    private func feedShell(_ bytes: [UInt8]) {
        let vocabulary: Set = ["A", "KDUMP_KERNEL"]
        guard let file = try? ShellAssignments(bytes, vocabulary: vocabulary) else { return }
        var text = ""
        for (name, value) in file.values {
            // As scalars: with a mark beside it a quote would be part of another character.
            let quoted = value.unicodeScalars.map { $0 == "'" ? "'\\''" : String($0) }
            text += "\(name)='\(quoted.joined())'\n"
        }
        guard text.utf8.count <= 64 << 10 else { return }
        precondition(
            (try? ShellAssignments(Array(text.utf8), vocabulary: vocabulary)) == file)
        for value in file.values.values {
            let parameters = KernelParameters(value)
            precondition(!parameters.isClosed || parameters == KernelParameters(parameters.line))
        }
    }

    private func feedRegions(_ bytes: [UInt8]) {
        let reserved = AddressRanges([AddressRange(start: 0x3300_0000, end: 0x3F00_0000)])
        for table in RegionTable.candidates(in: bytes, within: reserved) {
            precondition(AddressRanges(table.regions).subtracting(reserved).isEmpty)
            precondition(RegionTable.names(anyOf: table.regions, in: bytes))
        }
    }

    /// What a property says is where it says that it is.
    private func feedTree(_ bytes: [UInt8]) {
        guard let tree = try? DeviceTree(bytes) else { return }
        var nodes = [tree.root]
        while let node = nodes.popLast() {
            nodes += node.children
            for property in node.properties {
                precondition(bytes[property.place...].starts(with: property.value))
                _ = (property.text, property.number, property.words)
            }
        }
        writeTree(tree)
    }

    /// What is written says the same, with the same CPUs put in again.
    private func writeTree(_ tree: DeviceTree) {
        let room = 1 << 20
        guard let written = try? tree.encoded(in: room) else { return }
        precondition(written.count == room)
        guard let again = try? DeviceTree(written) else { fatalError("it cannot be read again") }
        precondition((try? again.encoded(in: room)) == written)
        precondition(again.reservations == tree.reservations)
        var other = tree
        let cpus = tree.root.child("cpus")?.children.filter(\.isProcessor) ?? []
        other.root.replaceProcessors(
            by: FirmwareDescription(processors: cpus, pageTableOrder: 26))
        let header = AddressRange(start: 0x3300_0000, end: 0x3301_0000)
        other.reserve(header, insteadOf: tree.reservations.first ?? header)
        precondition(AddressRanges(other.reservations).contains(header))
        try? other.name(header.start)
        _ = try? other.encoded(in: room)
        _ = try? POWERPlaces.firmware(in: tree)
        var named = ARM64DeviceTree(tree: tree)
        _ = (named.bootData(at: 0), named.initrd)
        if named.header != nil, (try? named.name(header: header)) != nil {
            precondition(named.header == header)
        }
    }

    /// All that is found lies in the memory that was searched.
    private func feedContents(_ bytes: [UInt8]) {
        let base: UInt64 = 0x3300_0000
        let memory = bytes + [UInt8](repeating: 0, count: 16384 - min(bytes.count, 8192))
        let range = AddressRange(start: base, end: base + UInt64(memory.count))
        let found = try? DeviceTreeImage.find(within: AddressRanges([range])) {
            count, address throws(Unknowable) in
            guard address >= base, Int(address - base) + count <= memory.count else {
                throw Unknowable("beyond")
            }
            return Array(memory[Int(address - base)..<Int(address - base) + count])
        }
        guard let found else { return }
        precondition(range.holds(found.entry))
        precondition(
            AddressRanges(found.segments.map(\.range)).subtracting(AddressRanges([range])).isEmpty)
    }

    /// What is found from an entry lies in the reserve, each part beside the others.
    ///
    /// The first bytes say where the entry is, and whether a kernel or a program has loaded the image.
    private func feedEntry(_ bytes: [UInt8]) {
        let base: UInt64 = 0x4800_0000
        let hole = AddressRange(start: base, end: base + (4 << 20))
        let memory = bytes.dropFirst(4) + [UInt8](repeating: 0, count: 8)
        let read = { (count: Int, address: UInt64) throws(Unknowable) -> [UInt8] in
            guard hole.holds(address), hole.end - address >= UInt64(count) else {
                throw Unknowable("beyond")
            }
            // The input repeats at each MiB, so that a kernel can be behind something else.
            return (0..<count).map { index in
                let place = Int(address - base) % (1 << 20) + index
                return place < memory.count ? memory[memory.startIndex + place] : 0
            }
        }
        let number = { (index: Int) in index < bytes.count ? UInt64(bytes[index]) : 0 }
        let entry = base + number(0) * 64 + number(1) % 4 << 20
        let parts = [
            AddressRange(start: base, end: base + (number(2) % 8 + 1) * 4096),
            AddressRange(start: base + (1 << 20), end: base + (1 << 20) + 0x2000),
        ]
        var list = [UInt8](repeating: 0, count: 74 * 8)
        func set(_ value: UInt64, _ word: Int) {
            for byte in 0..<8 {
                list[word * 8 + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8))
            }
        }
        set(entry, 3)
        set(UInt64(parts.count), 7)
        for (index, part) in parts.enumerated() {
            set(part.start, 8 + index * 4 + 2)
            set(part.byteCount, 8 + index * 4 + 3)
        }
        set(number(3) % 2 == 0 ? 1 : 5, 73)
        let reserved = AddressRanges([hole])
        let kimage = try? Kimage(
            list, laidOut: FuzzTarget.layout(of: list.count), within: reserved)
        guard let kimage else { fatalError("the list is not understood") }
        let found = try? ARM64Residence.find(kimage, within: reserved, pageSize: 4096, read: read)
        if let found = found ?? nil {
            let all = [found.kernel, found.tree, found.initrd, found.code].compactMap { $0 }
            precondition(AddressRanges(all).subtracting(reserved).isEmpty)
            precondition(AddressRanges(all).byteCount == all.reduce(0) { $0 + $1.byteCount })
        }
    }

    /// A list of parts whose fields have 64 bits each.
    private static func layout(of size: Int) -> Kimage.Layout {
        let word = { (index: Int) in Field(bitOffset: index * 64, bitSize: 64) }
        return Kimage.Layout(
            byteCount: size, entry: word(3), segmentCount: word(7), controlPage: word(72),
            type: Field(bitOffset: 73 * 64, bitSize: 1),
            isFromFiles: Field(bitOffset: 73 * 64 + 2, bitSize: 1),
            hotplugSupport: Field(bitOffset: 73 * 64 + 3, bitSize: 1), headerUpdate: nil,
            segments: Kimage.Layout.SegmentLayout(
                offset: 64, stride: 32, capacity: 16, bufferSize: word(1), address: word(2),
                memorySize: word(3)))
    }

    private func feedImage(_ bytes: [UInt8]) {
        let reserved = AddressRanges([AddressRange(start: 0x3300_0000, end: 0x3F00_0000)])
        let layout = FuzzTarget.layout(of: bytes.count)
        guard let image = try? Kimage(bytes, laidOut: layout, within: reserved) else { return }
        precondition(!image.segments.isEmpty && image.segments.count <= 16)
    }
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTarget.chosen.feed(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
