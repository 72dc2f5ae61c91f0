// SPDX-License-Identifier: Apache-2.0

/// The content of a marked page, which says of itself where it must lie.
///
/// Every word depends on the physical address and on the nonce of the run, so a page that is found
/// whole cannot be another page, another run's page, or a page only half dumped.
package struct MarkedPage {
    package static let size = 4096
    private static let words = size / 8
    private static let magic: UInt64 = 0x6b64_756d_702d_6d6b

    let address: UInt64
    let nonce: UInt64

    /// The page at a physical address, in the run with this nonce.
    package init(address: UInt64, nonce: UInt64) {
        self.address = address
        self.nonce = nonce
    }

    /// What a look at a page of the dump can show.
    package enum Finding {
        case intact, damaged, unmarked
    }

    func fill(_ page: UnsafeMutableRawPointer) {
        for index in 0..<Self.words {
            page.storeBytes(of: word(index), toByteOffset: index * 8, as: UInt64.self)
        }
    }

    /// Compares a page of the dump with what must be there.
    package func look(at page: UnsafeRawPointer) -> Finding {
        guard page.load(as: UInt64.self) == Self.magic else { return .unmarked }
        for index in 1..<Self.words
        where page.load(fromByteOffset: index * 8, as: UInt64.self) != word(index) {
            return .damaged
        }
        return .intact
    }

    private func word(_ index: Int) -> UInt64 {
        switch index {
        case 0: Self.magic
        case 1: address
        case 2: nonce
        default: Self.scramble(address ^ nonce &+ UInt64(index))
        }
    }

    /// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
    private static func scramble(_ seed: UInt64) -> UInt64 {
        var word = seed &* 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

/// Page addresses as `START+COUNT` in hexadecimal, one for each unbroken run.
func runs(of pages: [UInt64]) -> String {
    var runs: [(start: UInt64, count: UInt64)] = []
    for page in pages.sorted() {
        if let last = runs.last, last.start + last.count * UInt64(MarkedPage.size) == page {
            runs[runs.count - 1].count += 1
        } else {
            runs.append((page, 1))
        }
    }
    return runs.map { String($0.start, radix: 16) + "+" + String($0.count, radix: 16) }
        .joined(separator: " ")
}
