// SPDX-License-Identifier: Apache-2.0

import Guest

/// What a dump holds of the memory and the CPU that were plugged in before the crash.
struct Holdings {
    /// CPUs whose registers are in the dump.
    let cpus: Int
    /// Whether the dump lists all of the DIMM.
    let dimm: Bool
    /// Marked pages of the DIMM that the dump has, byte for byte.
    let found: Int
    /// Pages that were marked.
    let marked: Int

    init(of dump: Vmcore, dimm: Range<UInt64>, marks: Marks) {
        cpus = dump.processors
        self.dimm = dump.covers(dimm)
        found = dump.marks.intact.count
        marked = marks.pages.count
    }

    /// Reads what ``line`` wrote.
    init?(line: Substring) {
        let numbers = line.split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 4 else { return nil }
        (cpus, dimm, found, marked) = (numbers[0], numbers[1] == 1, numbers[2], numbers[3])
    }

    /// The same in one line, for the other process.
    var line: String { "\(cpus) \(dimm ? 1 : 0) \(found) \(marked)" }

    /// Whether nothing is missing.
    var isWhole: Bool { cpus == 3 && dimm && found == marked && marked > 0 }

    /// Both dumps beside each other.
    static func comparison(with: Holdings, without: Holdings) -> String {
        func row(_ name: String, _ left: String, _ right: String) -> String {
            [name, left, right].map { $0.padding(to: 30) }.joined().trimmingEnd()
        }
        return [
            "",
            row("What the dump holds", "with kdump-hotplugd", "without"),
            row("CPUs (the machine had 3)", "\(with.cpus)", "\(without.cpus)"),
            row(
                "the DIMM of 256 MiB", with.dimm ? "all of it" : "nothing",
                without.dimm ? "all of it" : "nothing"),
            row(
                "pages written to the DIMM", "\(with.found) of \(with.marked)",
                "\(without.found) of \(without.marked)"),
            "",
        ].joined(separator: "\n")
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }

    fileprivate func trimmingEnd() -> String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
