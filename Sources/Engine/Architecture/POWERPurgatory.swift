// SPDX-License-Identifier: Apache-2.0

/// What of a purgatory on POWER lies in no segment: its stack; pure
/// (kexec-tools' purgatory/arch/ppc64/purgatory-ppc64.c: `dt_offset`, `kernel`, `stack`).
extension PurgatoryWords {
    /// How much lies below `stack` in no segment (kexec-elf-ppc64.c, `locate_hole`).
    private static let stackSize: UInt64 = 16 << 10

    /// The memory that its stack may be in: below every word that points into `hole`, where no part is.
    ///
    /// Too much is no harm: nothing is put there. `nil` if there is no such word that is not known to be
    /// something else, the address of a part.
    func stacks(in hole: AddressRange, beside parts: AddressRanges) -> AddressRanges? {
        let candidates = all.compactMap { word -> AddressRange? in
            guard hole.holds(word.value), word.value - hole.start >= PurgatoryWords.stackSize
            else { return nil }
            let stack = AddressRange(
                start: word.value - PurgatoryWords.stackSize, end: word.value)
            return AddressRanges([stack]).intersection(parts).isEmpty ? stack : nil
        }
        let isFound = candidates.contains { stack in
            !parts.ranges.contains { $0.holds(stack.end) }
        }
        return isFound ? AddressRanges(candidates) : nil
    }
}
