// SPDX-License-Identifier: Apache-2.0

/// Where the kernel keeps a variable, from `/proc/kallsyms`.
///
/// Its lines are `address type name`, followed by `[module]` if a module owns the symbol
/// (kernel/kallsyms.c, `s_show`). There are some 200,000 lines, generated for each reader, so the
/// text is searched as it comes and never stored. Addresses do not change until the next boot: one
/// search is enough.
struct KernelSymbols {
    private let name: [UInt8]
    /// The part of a line that has come so far; what is longer than any symbol's line is dropped.
    private var line: [UInt8] = []

    /// The result of a search.
    enum Finding: Equatable {
        /// The symbol's address.
        case address(UInt64)
        /// The symbol, with zeros where its address should be.
        case hidden
    }

    /// KSYM_NAME_LEN is 512 at most, and address, type and module name need less than 100.
    private static let longestLine = 1024

    /// Starts a search for the kernel's own symbol `name`.
    init(searchingFor name: String) { self.name = Array(name.utf8) }

    /// Searches the next part of the text; returns the result as soon as there is one.
    mutating func feed(_ part: ArraySlice<UInt8>) -> Finding? {
        let lineEnd = UInt8(ascii: "\n")
        var rest = part
        while let end = rest.firstIndex(of: lineEnd) {
            let finding: Finding?
            if line.isEmpty {
                finding = look(at: rest[..<end])
            } else {
                line += rest[..<end].prefix(KernelSymbols.longestLine)
                finding = look(at: line[...])
                line.removeAll(keepingCapacity: true)
            }
            if let finding { return finding }
            rest = rest[(end + 1)...]
        }
        if line.count < KernelSymbols.longestLine { line += rest.prefix(KernelSymbols.longestLine) }
        return nil
    }

    /// Checks one line; the line of a module's symbol ends differently and never matches.
    private func look(at line: ArraySlice<UInt8>) -> Finding? {
        let blank = UInt8(ascii: " ")
        let start = line.endIndex - name.count
        guard start - 3 > line.startIndex, line[start...].elementsEqual(name),
            line[start - 1] == blank, line[start - 3] == blank
        else { return nil }
        let digits = String(decoding: line[..<(start - 3)], as: UTF8.self)
        guard let address = UInt64(digits, radix: 16) else { return nil }
        return address == 0 ? .hidden : .address(address)
    }
}

extension KernelSymbols {
    /// Finds the address of the kernel's own symbol `name`.
    ///
    /// - Throws: Why it cannot be known.
    static func address(
        of name: String, below root: SystemRoot
    ) throws(Unknowable) -> UInt64 {
        if let address = try find(name, below: root) { return address }
        throw Unknowable("/proc/kallsyms does not list \(name): CONFIG_KALLSYMS_ALL is not set")
    }

    /// Finds the address of the kernel's own symbol `name`; `nil` where it is not listed.
    ///
    /// - Throws: Why nothing can be known.
    static func find(_ name: String, below root: SystemRoot) throws(Unknowable) -> UInt64? {
        let file = try Unknowable.ifFailed { () throws(SystemError) in
            try KernelFile("/proc/kallsyms", below: root)
        }
        var search = KernelSymbols(searchingFor: name)
        // The kernel returns about a page for each call; a larger buffer saves nothing.
        var chunk = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            let count = try Unknowable.ifFailed { () throws(SystemError) in
                try file.read(into: &chunk, at: file.byteCount)
            }
            if let finding = search.feed(chunk[..<count]) {
                if case .address(let address) = finding { return address }
                throw Unknowable(
                    "/proc/kallsyms shows only zeros: kernel.kptr_restrict must be below 2, and"
                        + " reading addresses needs CAP_SYSLOG")
            }
            guard count == chunk.count else { break }
        }
        return nil
    }
}
