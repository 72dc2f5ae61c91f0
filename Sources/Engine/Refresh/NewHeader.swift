// SPDX-License-Identifier: Apache-2.0

/// A core header that is made from the running machine alone; pure.
///
/// It replaces one that is wrong about the kernel itself, of which nothing is worth keeping. It has
/// what the kernel's own would have (kernel/crash_core.c, `crash_prepare_elf64_headers`), with a
/// note for each present CPU.
struct NewHeader {
    private let live: LiveSystem
    private let notes: ProcessorNotes
    private let mapping: KernelMapping
    private let machine: UInt16

    /// Prepares to make it of what is known of a machine, whose number in ELF files is `machine`.
    init(live: LiveSystem, notes: ProcessorNotes, mapping: KernelMapping, machine: UInt16) {
        (self.live, self.notes, self.mapping) = (live, notes, mapping)
        self.machine = machine
    }

    /// Makes the header.
    ///
    /// - Throws: What is not known of the machine.
    func header() throws(PatchObstacle) -> CoreHeader {
        guard let kernelNote = notes.kernelNote, let kernelNoteSize = notes.kernelNoteSize,
            let noteSize = notes.noteSize, noteSize > 0, kernelNoteSize > 0
        else { throw .machineNotKnown(because: "the kernel does not say where its notes are") }
        var entries: [CoreHeader.Entry] = []
        for cpu in live.cpus.members.sorted() {
            guard let address = notes.addresses[cpu] else {
                throw .machineNotKnown(because: "CPU \(cpu) reports no address of its crash note")
            }
            entries.append(NewHeader.note(at: address, noteSize))
        }
        entries.append(NewHeader.note(at: kernelNote, kernelNoteSize))
        entries.append(NewHeader.memory(mapping.text.range, virtual: mapping.text.virtual))
        for range in live.ram.ranges {
            entries.append(NewHeader.memory(range, virtual: range.start &+ mapping.directMap))
        }
        let header = CoreHeader(machine: machine, entries: entries)
        guard entries.count <= CoreHeader.mostEntries else {
            throw .headerTooLarge(
                needed: UInt64(header.byteCount), room: UInt64(CoreHeader.mostEntries) * 56)
        }
        return header
    }

    private static func note(at address: UInt64, _ size: UInt64) -> CoreHeader.Entry {
        CoreHeader.Entry(
            type: CoreHeader.Entry.Kind.note.rawValue, flags: 0, offset: address, virtual: 0,
            physical: address, fileSize: size, memorySize: size, alignment: 0)
    }

    /// Memory that may be read, written and executed.
    private static func memory(_ range: AddressRange, virtual: UInt64) -> CoreHeader.Entry {
        CoreHeader.Entry(
            type: CoreHeader.Entry.Kind.memory.rawValue, flags: 7, offset: range.start,
            virtual: virtual, physical: range.start, fileSize: range.byteCount,
            memorySize: range.byteCount, alignment: 0)
    }
}
