// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Sizes as people read them.
@Suite struct ByteCountTests {
    /// Sizes in bytes, and as people read them.
    ///
    /// The type is written out, because Swift 6.2 gives up on inferring it.
    private static let sizes: [(Int, String)] = [
        (0, "0 bytes"), (1_023, "1023 bytes"), (1_024, "1 KiB"), (256 << 20, "256 MiB"),
        (1 << 30, "1 GiB"), (5 << 28, "1.25 GiB"), (3 << 29, "1.5 GiB"),
        ((1 << 30) + (1 << 30) / 25, "1.03 GiB"), ((1 << 40) - 1, "1023.99 GiB"),
        (1 << 40, "1 TiB"),
    ]

    @Test(arguments: sizes)
    func reads(bytes: Int, words: String) {
        #expect(ByteCount(UInt64(bytes)).description == words)
    }
}
