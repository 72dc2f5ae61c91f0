// SPDX-License-Identifier: Apache-2.0

/// A set of small numbers written as the kernel writes CPU lists: `0-3,5`.
///
/// Reports use the kernel's form, too, so that people can compare them with sysfs. It is that of
/// `bitmap_list_string` (lib/vsprintf.c).
package struct NumberSet: Hashable, Codable {
    /// The members.
    package let members: Set<Int>

    /// The largest number that is accepted.
    ///
    /// No kernel supports that many CPUs (`NR_CPUS` is at most 8192 today), and nonsense must not
    /// make us allocate memory.
    private static let largest = 65_535

    /// Creates a set of `members`.
    package init(_ members: Set<Int> = []) {
        self.members = members
    }

    /// Creates a set from the kernel's list form, or `nil` if `text` is not such a list.
    ///
    /// An empty text is the empty set, as the kernel prints it.
    package init?(list text: Substring) {
        var members: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: text.isEmpty) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, let first = ends.first.flatMap({ Int($0) }),
                let last = ends.last.flatMap({ Int($0) }),
                0 <= first, first <= last, last <= NumberSet.largest
            else { return nil }
            members.formUnion(first...last)
        }
        self.members = members
    }

    /// How many members there are.
    package var count: Int { members.count }

    /// Whether there is no member.
    package var isEmpty: Bool { members.isEmpty }

    /// Returns the members that are not in `other`.
    package func subtracting(_ other: NumberSet) -> NumberSet {
        NumberSet(members.subtracting(other.members))
    }
}

extension NumberSet: CustomStringConvertible {
    /// The kernel's list form.
    package var description: String {
        var runs: [(first: Int, last: Int)] = []
        for member in members.sorted() {
            if let run = runs.last, run.last + 1 == member {
                runs[runs.count - 1].last = member
            } else {
                runs.append((member, member))
            }
        }
        return runs.map { $0.first == $0.last ? "\($0.first)" : "\($0.first)-\($0.last)" }
            .joined(separator: ",")
    }
}
