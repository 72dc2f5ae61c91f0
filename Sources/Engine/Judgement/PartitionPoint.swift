// SPDX-License-Identifier: Apache-2.0

/// Binary search.
extension Array {
    /// The place of the first element that is not `isBefore`, if all that are come first; the count if
    /// all are.
    func partitionPoint(where isBefore: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
