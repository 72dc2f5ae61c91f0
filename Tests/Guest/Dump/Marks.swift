// SPDX-License-Identifier: Apache-2.0

/// Pages of a live guest that hold a pattern naming their own physical address.
package struct Marks: Sendable {
    /// Makes this guest's patterns different from those of every other run.
    package let nonce: UInt64
    /// The physical addresses of the pages.
    package let pages: Set<UInt64>
    /// The same, as unbroken runs: `START+COUNT`.
    let runs: [Substring]
}

/// What the capture kernel found at the addresses of the marked pages.
package struct MarkReport: Sendable {
    /// There, with every byte of its pattern.
    package fileprivate(set) var intact: Set<UInt64> = []
    /// In no program header of the dump.
    package fileprivate(set) var absent: Set<UInt64> = []
    /// In the dump, but reading it is an error; with the error numbers seen.
    package fileprivate(set) var unreadable: Set<UInt64> = []
    package fileprivate(set) var errors: Set<Int> = []
    /// In the dump and readable, with other content.
    package fileprivate(set) var wrong: Set<UInt64> = []

    mutating func add(_ text: String) throws(GuestError) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            let pages = try expand(words.dropFirst())
            switch words.first {
            case "intact": intact.formUnion(pages)
            case "absent": absent.formUnion(pages)
            case "damaged", "unmarked": wrong.formUnion(pages)
            case .some(let word) where word.hasPrefix("unreadable-"):
                unreadable.formUnion(pages)
                if let code = Int(word.dropFirst(11)) { errors.insert(code) }
            default: throw .garbled("guest-probe: \(line)")
            }
        }
    }
}

extension Machine {
    /// Marks at least `count` pages inside a physical range, which stay until the crash.
    package func mark(_ range: Range<UInt64>, count: Int) throws(GuestError) -> Marks {
        let nonce = UInt64.random(in: .min ... .max)
        let numbers = [range.lowerBound, UInt64(range.count), UInt64(count), nonce]
            .map { String($0, radix: 16) }.joined(separator: " ")
        let report = "/run/guest-probe-\(String(nonce, radix: 16))"
        // In a session of its own, so that it outlives the command that started it.
        try expect("setsid -f /tools/guest-probe mark \(numbers) >\(report) 2>&1 </dev/null")
        try waitUntil("grep -q -e ^end -e ^guest-probe: \(report)")
        let text = try expect("cat \(report)")
        guard let line = text.split(separator: "\n").first, line.hasPrefix("marked ") else {
            throw .refused(text)
        }
        let runs = Array(line.split(separator: " ").dropFirst())
        return Marks(nonce: nonce, pages: try expand(runs[...]), runs: runs)
    }
}

/// The page addresses of runs written as `START+COUNT` in hexadecimal.
private func expand(_ runs: ArraySlice<Substring>) throws(GuestError) -> Set<UInt64> {
    var pages: Set<UInt64> = []
    for run in runs {
        let numbers = run.split(separator: "+").compactMap { UInt64($0, radix: 16) }
        guard numbers.count == 2, numbers[1] < 1 << 28 else { throw .garbled("run \(run)") }
        for index in 0..<numbers[1] { pages.insert(numbers[0] + index * 4096) }
    }
    return pages
}
