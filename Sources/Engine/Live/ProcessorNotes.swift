// SPDX-License-Identifier: Apache-2.0

/// Where the kernel saves the registers of each CPU at a crash, its note about itself, and what the
/// firmware calls the CPUs.
///
/// A core header lists these addresses and not the CPUs. Each present CPU has such a file, and on some
/// architectures each possible one; only root can read it (drivers/base/cpu.c, `crash_notes`).
package struct ProcessorNotes: Hashable, Codable {
    /// The physical address of each present CPU's note, by the CPU's number.
    package let addresses: [Int: UInt64]
    /// What the firmware calls each CPU, by the CPU's number, where the kernel says so.
    package var firmwareNumbers: [Int: Int] = [:]
    /// The CPUs that may ever be present.
    package let possible: NumberSet
    /// The physical address of the note about the kernel (vmcoreinfo); `nil` if it is not known.
    package let kernelNote: UInt64?
    /// How many bytes that note has; `nil` if it is not known.
    var kernelNoteSize: UInt64?
    /// How many bytes a CPU's note has; `nil` if it is not known.
    var noteSize: UInt64?

    /// Asks the kernel below `root` for the notes of the `present` CPUs.
    ///
    /// - Throws: A `SystemError` if a file is there and cannot be read.
    package static func read(
        of present: NumberSet, below root: SystemRoot
    ) throws(SystemError) -> Fact<ProcessorNotes> {
        let cpus = "/sys/devices/system/cpu"
        var addresses: [Int: UInt64] = [:]
        var firmwareNumbers: [Int: Int] = [:]
        var areNumbered = true
        for cpu in present.members {
            // A CPU that is coming or going is present and has no device.
            addresses[cpu] = try root.line(of: "\(cpus)/cpu\(cpu)/crash_notes")
                .flatMap { UInt64($0, radix: 16) }
            // Only where a device tree names the CPUs (`show_physical_id`): all have one, or none.
            guard areNumbered, addresses[cpu] != nil else { continue }
            firmwareNumbers[cpu] = try root.line(of: "\(cpus)/cpu\(cpu)/physical_id")
                .flatMap { Int($0) }
            areNumbered = firmwareNumbers[cpu] != nil
        }
        guard !addresses.isEmpty else {
            return .unknown(because: "no CPU reports the address of its crash note")
        }
        let possible = try root.line(of: "\(cpus)/possible").flatMap { NumberSet(list: $0) }
        // "0x00000000011ea000 1024": the address and the size, in hexadecimal.
        let words = try root.line(of: "/sys/kernel/vmcoreinfo")?.split(separator: " ") ?? []
        let kernelNote = words.first.flatMap { UInt64($0.dropFirst(2), radix: 16) }
        var notes = ProcessorNotes(
            addresses: addresses, firmwareNumbers: firmwareNumbers,
            possible: possible ?? present, kernelNote: kernelNote)
        notes.kernelNoteSize = words.dropFirst().first.flatMap { UInt64($0, radix: 16) }
        // All have the same (drivers/base/cpu.c, `crash_notes_size_show`), and only whoever makes a core
        // header from nothing needs it.
        notes.noteSize = try addresses.keys.min().flatMap { cpu throws(SystemError) in
            try root.line(of: "\(cpus)/cpu\(cpu)/crash_notes_size").flatMap { UInt64($0) }
        }
        return .known(notes)
    }

    /// Returns those of the CPUs `present` that have a device.
    ///
    /// A CPU without one is coming or going, and does not run: it is brought online through its device
    /// (drivers/acpi/acpi_processor.c, `acpi_processor_hotadd_init` and `acpi_processor_remove`).
    package func cpus(among present: NumberSet) -> NumberSet {
        NumberSet(present.members.intersection(addresses.keys))
    }

    /// Returns those of the CPUs with a device whose firmware numbers are not in `known`.
    ///
    /// A CPU whose firmware number is not told is none of them.
    package func cpus(outside known: NumberSet) -> NumberSet {
        NumberSet(Set(firmwareNumbers.filter { !known.members.contains($0.value) }.keys))
    }

    /// Returns the CPUs whose notes are at `listed`, a core header's list in its order.
    ///
    /// Kernels since 6.6 list every possible CPU, so notes of absent CPUs are right there. Before
    /// 6.6, and in kexec-tools' headers, an extra note belongs to a CPU that is gone. Its address
    /// can no longer be looked up, so its number is derived from the order and the distance of the
    /// notes, which follow the numbers of the CPUs.
    package func cpus(at listed: [UInt64]) -> NumberSet {
        let all = Set(listed)
        let here = addresses.filter { all.contains($0.value) }
        var members = Set(here.keys)
        guard all.count != possible.count else { return NumberSet(members) }
        var gone = NoteNumbers(possible.members.subtracting(addresses.keys), beside: addresses)
        let numbers = Dictionary(here.map { ($0.value, $0.key) }) { first, _ in first }
        var last = -1
        for address in listed {
            if let number = numbers[address] {
                last = number
            } else if let number = gone.take(at: address, after: last) {
                members.insert(number)
                last = number
            }
        }
        return NumberSet(members)
    }
}
