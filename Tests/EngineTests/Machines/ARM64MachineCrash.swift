// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// What kernels, a processor and purgatory do with an image on arm64.
extension ARM64Machine {
    /// Takes the kernel's own pages, by the loop of `kimage_alloc_crash_control_pages`, and writes
    /// to the second.
    mutating func takePages() {
        let pages = POWERMachine.ownPages(
            beside: kimage.listed, page: page, from: ARM64Machine.base)
        notePage = pages[1]
        kimage.controlPage = pages[1] + page
        writeNote()
    }

    /// Writes vmcoreinfo where the kernel keeps its copy: at the load, and again at the crash.
    private mutating func writeNote() {
        let text = Array("OSRELEASE=6.12\nPAGESIZE=\(page)\n".utf8)
        put(text + [UInt8](repeating: 0, count: Int(page) - text.count), at: notePage)
    }

    /// Loads segments over the image, as `kexec_load` does.
    mutating func load(_ segments: [Kexec.Segment], entry: UInt64) {
        for segment in segments {
            let bytes = segment.bytes.contents
            let zeros = Int(segment.range.byteCount) - bytes.count
            put(bytes + [UInt8](repeating: 0, count: zeros), at: segment.range.start)
        }
        kimage.listed = segments.map(\.range)
        kimage.entryAddress = entry
        kimage.isFromFiles = false
        treeAddress = 0
        takePages()
    }

    /// Crashes; returns what goes wrong, or `nil` if there is a dump with all of the machine.
    func crash() throws -> String? {
        var machine = self
        machine.writeNote()
        return try machine.jump()
    }

    /// The registers that matter.
    private struct Registers {
        var numbers = [UInt64](repeating: 0xDEAD, count: 31)
        var counter: UInt64
    }

    private func jump() throws -> String? {
        guard kimage.listed.allSatisfy({ $0.start % page == 0 && $0.end % page == 0 }) else {
            return "the kernel refuses segments that are no whole pages"
        }
        var registers = Registers(counter: kimage.entryAddress)
        registers.numbers[0] = treeAddress
        (1...3).forEach { registers.numbers[$0] = 0 }
        if maker == .kernel { registers = run(registers) }
        if maker == .program, registers.counter != purgatory.start + 0x140 {
            registers = run(registers)
        }
        if registers.counter == purgatory.start + 0x140, maker == .program {
            guard try isDigestRight() else { return "sha256 digests do not match" }
            registers.counter = number(at: purgatory.start + ARM64Machine.words.kernel)
            registers.numbers[0] = number(at: purgatory.start + ARM64Machine.words.tree)
            (1...3).forEach { registers.numbers[$0] = 0 }
        }
        guard registers.numbers[1...3].allSatisfy({ $0 == 0 }) else { return "silence" }
        return boot(at: registers.counter, tree: registers.numbers[0])
    }

    /// Runs instructions up to the first jump, or to one that is not known: `ldr` of a literal,
    /// `mov` of zero, `br`.
    private func run(_ start: Registers) -> Registers {
        var registers = start
        for _ in 0..<16 {
            let word = UInt32(
                truncatingIfNeeded: number(at: registers.counter & ~7)
                    >> (registers.counter % 8 * 8))
            let register = Int(word & 31)
            switch word >> 24 {
            case 0x58 where register < 31:
                let distance = UInt64(word >> 5 & 0x7FFFF) * 4
                registers.numbers[register] = number(at: registers.counter + distance)
            case 0xAA where word & 0xFFFF_FFE0 == 0xAA1F_03E0 && register < 31:
                registers.numbers[register] = 0
            case 0xD6 where word & 0xFFFF_FC1F == 0xD61F_0000:
                registers.counter = registers.numbers[Int(word >> 5 & 31)]
                return registers
            default: return registers
            }
            registers.counter += 4
        }
        return registers
    }

    private func isDigestRight() throws -> Bool {
        let place = Int(purgatory.start - ARM64Machine.base + ARM64Machine.table)
        let table = RegionTable.candidates(
            in: Array(memory[place..<place + RegionTable.byteCount]),
            within: AddressRanges([ARM64Machine.reserved]))
        let digest = purgatory.start + ARM64Machine.digest
        return try table.count == 1
            && sum(table[0].regions) == bytes(AddressRange(start: digest, end: digest + 32))
    }

    /// What the capture kernel does.
    private func boot(at place: UInt64, tree address: UInt64) -> String? {
        guard ARM64Machine.reserved.holds(place), place % (2 << 20) == 0,
            isWholeKernel(at: place)
        else { return "an exception" }
        guard ARM64Machine.reserved.holds(address), address % 8 == 0,
            let tree = try? DeviceTree(from(address))
        else { return "silence" }
        let chosen = ARM64DeviceTree(tree: tree)
        guard chosen.initrd == ARM64Machine.initrd, isInitrdWhole else { return "no init found" }
        guard let named = chosen.header, let header = try? CoreHeader(from(named.start)),
            AddressRanges([named]).contains(
                AddressRange(
                    start: named.start, end: named.start + UInt64(header.byteCount)))
        else { return "no vmcore" }
        if maker == .kernel, !AddressRanges(tree.reservations).contains(named) {
            return "overwritten core header"
        }
        return dump(by: header)
    }

    /// Whether what a kernel needs is there: all but the padding before its code.
    private func isWholeKernel(at place: UInt64) -> Bool {
        let code = Int(ARM64Machine.kernel.byteCount)
        let now = bytes(AddressRange(start: place, end: place + ARM64Machine.kernel.byteCount))
        return now[..<0x148] == original[..<0x148]
            && now[0x10000..<code] == original[0x10000..<code]
    }

    private var isInitrdWhole: Bool {
        let start = Int(ARM64Machine.initrd.start - ARM64Machine.base)
        let end = start + Int(ARM64Machine.initrdSize)
        return memory[start..<end] == original[start..<end]
    }

    private func dump(by header: CoreHeader) -> String? {
        let all = AddressRanges(ram)
        for entry in header.entries where entry.kind == .memory {
            guard entry.range.byteCount > 0, all.contains(entry.range) else {
                return "oops in copy_oldmem_page"
            }
        }
        let described = CoreDescription(of: header, kernelNote: ARM64Machine.kernelNote)
        guard described.directMap == ARM64Machine.directMap, described.special.count == 1,
            described.special[0].virtual == ARM64Machine.text.start &+ ARM64Machine.textDistance
        else { return "a dump that cannot be read" }
        let notes = Set(described.cpuNotes)
        guard described.ram == live.ram, described.kernelNote?.physical == ARM64Machine.kernelNote,
            notes.isSuperset(of: (0..<cpus).map(ARM64Machine.note))
        else { return "a dump of another machine" }
        return nil
    }

    /// What lies at an address, as much as any part has.
    private func from(_ address: UInt64) -> [UInt8] {
        let start = Int(address - ARM64Machine.base)
        return Array(memory[start..<min(start + 0x40000, memory.count)])
    }
}
