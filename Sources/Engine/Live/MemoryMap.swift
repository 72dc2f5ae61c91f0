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
        // As bytes: a storm has it parsed at every event, and characters take ten times as long.
        var lines = Array(text.utf8).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        // A complete text ends with a line break. Without one it is truncated.
        guard lines.popLast()?.isEmpty == true else { throw .malformed(line: lines.count + 1) }
        for (index, line) in lines.enumerated() {
            guard let (range, name) = MemoryMap.resource(line) else {
                throw .malformed(line: index + 1)
            }
            anyAddress = anyAddress || range.end > 1
            if name.elementsEqual("System RAM".utf8) || name.starts(with: "System RAM (".utf8) {
                ram.append(range)
            }
            if name.elementsEqual("Crash kernel".utf8) { reserved.append(range) }
        }
        guard anyAddress || lines.isEmpty else { throw .hidden }
        guard !ram.isEmpty else { throw .noSystemRAM }
        systemRAM = AddressRanges(ram)
        self.reserved = reserved.sorted { $0.start < $1.start }
    }

    /// Splits one line into its range and name, or returns `nil` if it has another form.
    private static func resource(
        _ line: ArraySlice<UInt8>
    ) -> (AddressRange, ArraySlice<UInt8>)? {
        let space = UInt8(ascii: " ")
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let span = line[..<colon].drop { $0 == space }
        let name = line[(colon + 1)...]
        guard span.last == space, name.first == space, let range = addressSpan(span.dropLast())
        else { return nil }
        return (range, name.dropFirst())
    }

    /// Reads `start-end`, hexadecimal and inclusive as the kernel prints it.
    package static func addressSpan(_ text: Substring) -> AddressRange? {
        addressSpan(Array(text.utf8)[...])
    }

    private static func addressSpan(_ text: ArraySlice<UInt8>) -> AddressRange? {
        guard let dash = text.firstIndex(of: UInt8(ascii: "-")),
            let start = number(text[..<dash]), let last = number(text[(dash + 1)...]),
            start <= last, last < UInt64.max
        else { return nil }
        return AddressRange(start: start, end: last + 1)
    }

    /// Reads a hexadecimal number of at most 16 digits.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard 1...16 ~= digits.count else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = digit - UInt8(ascii: "A") + 10
            default: return nil
            }
            number = number << 4 | UInt64(value)
        }
        return number
    }
}
