// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The physical memory of a guest: what its map says, and what is really in it.
///
/// A guest that shares its memory (``MachineSettings/sharesMemory``) has it in a file of this machine.
/// Through that, a test reads the resident crash image without asking any kernel, and damages it
/// behind the kernel's back, as a stray DMA would; a stock kernel lets nobody do that from inside.
extension Machine {
    /// So much of the memory of boot each machine has in one piece; q35 has what is beyond elsewhere.
    private static let mostShared: UInt64 = 2 << 30

    /// The bytes at a physical address of the guest, of its memory at boot.
    package func memory(at address: UInt64, count: Int) throws(GuestError) -> [UInt8] {
        try withSharedMemory(address, count) { file in
            Array(try file.read(upToCount: count) ?? Data())
        }
    }

    /// Replaces the bytes at a physical address of the guest; nobody in it is told.
    package func overwrite(at address: UInt64, with bytes: [UInt8]) throws(GuestError) {
        try withSharedMemory(address, bytes.count) { try $0.write(contentsOf: bytes) }
    }

    /// The System RAM of the guest, adjacent ranges joined, as its `/proc/iomem` has it.
    package func systemMemory() throws(GuestError) -> [Range<UInt64>] {
        try ranges(named: "System RAM")
    }

    /// The memory reserved for the crash kernel, as the guest's kernel tells it.
    package func reservedMemory() throws(GuestError) -> [Range<UInt64>] {
        try settings.kernel.platform.machine.reservedMemory(of: self)
    }

    /// The memory that a dump must have, and all that it may have: System RAM without what is
    /// reserved for the crash kernel, and without the first MiB.
    package func memoryToDump() throws(GuestError) -> [Range<UInt64>] {
        try systemMemory().subtracting(reservedMemory()).aboveLegacy
    }

    /// What a dump has of all that it should have.
    package func memory(
        in dump: Vmcore, reserving reserve: [Range<UInt64>]
    ) -> [Range<UInt64>] {
        let memory = dump.memory.aboveLegacy
        return settings.kernel.platform.machine.reserveHasFirmware
            ? memory.subtracting(reserve) : memory
    }

    /// The CPU that must crash if there is to be a dump, whatever is loaded; `nil` where it can be any.
    package var processorOfEveryImage: Int? {
        settings.kernel.platform.machine.processorOfEveryImage
    }

    /// The list of the CPUs that leave their registers at a crash, as long as the image has a place for
    /// them.
    package func processorsOfDumps() throws(GuestError) -> String {
        let file = settings.kernel.platform.machine.processorsOfDumps
        return try expect("cat /sys/devices/system/cpu/\(file)")
    }

    func ranges(named name: String) throws(GuestError) -> [Range<UInt64>] {
        try Self.ranges(named: name, in: expect("cat /proc/iomem"))
    }

    private static func ranges(
        named name: String, in map: String
    ) throws(GuestError) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        for line in map.split(separator: "\n") where line.contains(name) {
            let ends = line.prefix { $0 != ":" }.split { $0 == "-" || $0 == " " }
                .compactMap { UInt64($0, radix: 16) }
            guard ends.count == 2 else { throw .garbled("iomem: \(line)") }
            ranges.append(ends[0]..<ends[1] + 1)
        }
        return ranges.joined
    }

    private func withSharedMemory<Result>(
        _ address: UInt64, _ count: Int, _ body: (FileHandle) throws -> Result
    ) throws(GuestError) -> Result {
        let start = settings.kernel.platform.machine.memoryStart
        let end = start + min(UInt64(settings.memory) << 20, Self.mostShared)
        guard settings.sharesMemory, start <= address, address <= end,
            UInt64(count) <= end - address
        else {
            throw .refused("no shared memory at 0x\(String(address, radix: 16))")
        }
        let path = files.memory
        do {
            // Not for appending and not truncated: the file is mapped by QEMU.
            let file = try FileHandle(forUpdating: URL(filePath: path))
            try file.seek(toOffset: address - start)
            return try body(file)
        } catch {
            throw .tool("\(path): \(error)")
        }
    }
}
