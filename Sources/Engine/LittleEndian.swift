// SPDX-License-Identifier: Apache-2.0

/// Little-endian numbers at byte offsets of a buffer, `nil` beyond its end.
///
/// What an audit or a patch reads is little-endian on each architecture whose images go stale, except
/// device trees.
extension [UInt8] {
    /// The 16-bit number at `offset`.
    func half(at offset: Int) -> UInt16? {
        guard has(2, at: offset) else { return nil }
        return UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
    }

    /// The 32-bit number at `offset`.
    func word(at offset: Int) -> UInt32? {
        guard has(4, at: offset) else { return nil }
        return UInt32(self[offset]) | UInt32(self[offset + 1]) << 8
            | UInt32(self[offset + 2]) << 16 | UInt32(self[offset + 3]) << 24
    }

    /// The 64-bit number at `offset`.
    func double(at offset: Int) -> UInt64? {
        guard has(8, at: offset), let low = word(at: offset), let high = word(at: offset + 4)
        else { return nil }
        return UInt64(low) | UInt64(high) << 32
    }

    private func has(_ size: Int, at offset: Int) -> Bool {
        offset >= 0 && size <= count && offset <= count - size
    }

    /// Appends the bytes of `number`, the lowest first.
    mutating func append(littleEndian number: some FixedWidthInteger) {
        for shift in stride(from: 0, to: number.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
