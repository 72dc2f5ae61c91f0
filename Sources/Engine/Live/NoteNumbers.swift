// SPDX-License-Identifier: Apache-2.0

/// The numbers of CPUs that are gone, of which a core header still has the notes; pure.
///
/// All that is left of such a CPU is the address of its note, and where it stands in the list. Each
/// number is given out once.
struct NoteNumbers {
    private let spacing: NoteSpacing?
    private var free: FreeNumbers

    /// Begins with the numbers `absent`; the CPUs that are there have their notes at `addresses`.
    init(_ absent: Set<Int>, beside addresses: [Int: UInt64]) {
        spacing = NoteSpacing(addresses)
        free = FreeNumbers(absent)
    }

    /// Takes the number of the CPU whose note was at `address` and came `after` that of another one; `nil`
    /// if there is none left.
    mutating func take(at address: UInt64, after last: Int) -> Int? {
        if let number = spacing?.number(at: address), free.take(number) { return number }
        return free.takeFirst(after: last) ?? free.takeFirst(after: -1)
    }
}

/// How far apart the notes of the CPUs are, if they are equally far.
private struct NoteSpacing {
    private let first: (number: Int, address: UInt64)
    private let distance: UInt64

    /// Measures it between the two CPUs with the lowest numbers; `nil` if their notes do not tell.
    init?(_ addresses: [Int: UInt64]) {
        let known = addresses.sorted { $0.key < $1.key }.prefix(2)
        guard known.count == 2, known[0].value < known[1].value else { return nil }
        let steps = UInt64(known[1].key - known[0].key)
        guard (known[1].value - known[0].value) % steps == 0 else { return nil }
        first = (known[0].key, known[0].value)
        distance = (known[1].value - known[0].value) / steps
    }

    /// The number of the CPU whose note is at `address`, or `nil` if there can be none.
    func number(at address: UInt64) -> Int? {
        guard address > first.address else { return nil }
        let (steps, rest) = (address - first.address).quotientAndRemainder(dividingBy: distance)
        // No kernel has that many CPUs.
        guard rest == 0, steps < 1 << 20 else { return nil }
        return first.number + Int(steps)
    }
}

/// Numbers that are given out once each.
///
/// Thousands of CPUs may be gone, so finding the next one that is free must not pass all that are taken.
private struct FreeNumbers {
    /// In ascending order.
    private let numbers: [Int]
    /// For each of them the place where to look for the next that is free: its own as long as it is.
    private var next: [Int]

    init(_ numbers: Set<Int>) {
        self.numbers = numbers.sorted()
        next = Array(0...numbers.count)
    }

    /// Takes `number`, and returns whether it was free.
    mutating func take(_ number: Int) -> Bool {
        let place = place(from: number)
        guard place < numbers.count, numbers[place] == number, next[place] == place else {
            return false
        }
        next[place] = place + 1
        return true
    }

    /// Takes the first free number above `number`, or returns `nil` if there is none.
    mutating func takeFirst(after number: Int) -> Int? {
        let begin = place(from: number + 1)
        var free = begin
        while next[free] != free { free = next[free] }
        // Whoever comes this way again need not take every step.
        var passed = begin
        while passed != free {
            let step = next[passed]
            next[passed] = free
            passed = step
        }
        guard free < numbers.count else { return nil }
        next[free] = free + 1
        return numbers[free]
    }

    /// The place of the first number that is not below `number`.
    private func place(from number: Int) -> Int { numbers.partitionPoint { $0 < number } }
}
