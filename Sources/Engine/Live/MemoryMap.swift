// SPDX-License-Identifier: Apache-2.0

/// What `/proc/iomem` says about memory: where System RAM is, and where memory is reserved.
///
/// The text is the kernel's resource tree, indented by two spaces a level (kernel/resource.c,
/// `r_show`). System RAM may be at any depth (CXL and persistent memory used as RAM are nested)
/// and with a suffix ("System RAM (kmem)", "System RAM (virtio_mem)"). Without CAP_SYS_ADMIN every
/// address reads as zero. This type only parses; `LiveSystem` reads.
package struct MemoryMap: Equatable {
    /// Everything the kernel uses as RAM.
    package let systemRAM: AddressRanges
    /// The ranges reserved by `crashkernel=`, ascending; they lie inside System RAM.
    package let reserved: [AddressRange]

    /// Why a text is not a usable map.
    package enum Flaw: Error, Equatable {
        /// All addresses are zero: the reader lacks CAP_SYS_ADMIN.
        case hidden
        /// A line is not of the form `start-end : name`; lines count from 1.
        case malformed(line: Int)
        /// The text lists no System RAM at all, so it is truncated or not a memory map.
        case noSystemRAM
    }

    /// Parses the text of `/proc/iomem`.
    ///
    /// - Throws: The flaw that makes the text unusable; a map is never half read.
    package init(iomem text: String) throws(Flaw) {
        var ram: [AddressRange] = []
        var reserved: [AddressRange] = []
        var anyAddress = false
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        // A complete text ends with a line break. Without one it is truncated.
        guard lines.popLast()?.isEmpty == true else { throw .malformed(line: lines.count + 1) }
        for (index, line) in lines.enumerated() {
            guard let (range, name) = MemoryMap.resource(line) else {
                throw .malformed(line: index + 1)
            }
            anyAddress = anyAddress || range.end > 1
            if name == "System RAM" || name.hasPrefix("System RAM (") { ram.append(range) }
            if name == "Crash kernel" { reserved.append(range) }
        }
        guard anyAddress || lines.isEmpty else { throw .hidden }
        guard !ram.isEmpty else { throw .noSystemRAM }
        systemRAM = AddressRanges(ram)
        self.reserved = reserved.sorted { $0.start < $1.start }
    }

    /// Splits one line into its range and name, or returns `nil` if it has another form.
    private static func resource(_ line: Substring) -> (AddressRange, Substring)? {
        guard let colon = line.firstIndex(of: ":") else { return nil }
        let span = line[..<colon].drop { $0 == " " }
        let name = line[line.index(after: colon)...]
        guard span.last == " ", name.first == " ", let range = addressSpan(span.dropLast()) else {
            return nil
        }
        return (range, name.dropFirst())
    }

    /// Reads `start-end`, hexadecimal and inclusive as the kernel prints it.
    package static func addressSpan(_ text: Substring) -> AddressRange? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let start = UInt64(ends[0], radix: 16),
            let last = UInt64(ends[1], radix: 16), start <= last, last < UInt64.max
        else { return nil }
        return AddressRange(start: start, end: last + 1)
    }
}
