// SPDX-License-Identifier: Apache-2.0

/// A number of bytes, for people: `256 MiB`, `1.25 GiB`, `512 bytes`.
package struct ByteCount: CustomStringConvertible {
    /// How many bytes.
    package let bytes: UInt64

    /// Creates a count of bytes.
    package init(_ bytes: UInt64) { self.bytes = bytes }

    /// At most two decimals, without trailing zeros, in the largest unit that leaves at least 1.
    package var description: String {
        let units: [(String, UInt64)] = [
            ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ]
        guard let (unit, size) = units.first(where: { bytes >= $0.1 }) else {
            return "\(bytes) bytes"
        }
        // Rounded down: a figure for covered memory must not be too large.
        let hundredths = bytes % size * 100 / size
        let decimals = hundredths % 10 == 0 ? "\(hundredths / 10)" : padded(hundredths)
        return hundredths == 0 ? "\(bytes / size) \(unit)" : "\(bytes / size).\(decimals) \(unit)"
    }

    private func padded(_ hundredths: UInt64) -> String {
        hundredths < 10 ? "0\(hundredths)" : "\(hundredths)"
    }
}
