// SPDX-License-Identifier: Apache-2.0

/// Big-endian numbers at byte offsets of a buffer, `nil` beyond its end: those of device trees.
extension [UInt8] {
    /// The 32-bit number at `offset`.
    func bigEndianWord(at offset: Int) -> UInt32? { word(at: offset)?.byteSwapped }

    /// The 64-bit number at `offset`.
    func bigEndianDouble(at offset: Int) -> UInt64? { double(at: offset)?.byteSwapped }

    /// Appends the bytes of `number`, the highest first.
    mutating func append(bigEndian number: some FixedWidthInteger) {
        append(littleEndian: number.byteSwapped)
    }
}
