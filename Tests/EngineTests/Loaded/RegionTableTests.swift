// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// The table of regions and the digest.
@Suite struct RegionTableTests {
    static let reserved = AddressRanges([AddressRange(start: 0x3300_0000, end: 0x3F00_0000)])

    /// FIPS 180-2, appendix B.
    @Test func makesTheStandardsDigests() throws {
        let digest = try Digest()
        try digest.add([])
        try digest.add(Array("ab".utf8))
        try digest.add(Array("c".utf8))
        #expect(
            try digest.finish()
                == RealImages.bytes(
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    }

    /// The neighbourhood of the table in purgatories of real 6.12 guests, of either loader.
    @Test func findsRealTables() throws {
        let kernels = RegionTable.candidates(
            in: RealImages.kernelPurgatory, within: RegionTableTests.reserved)
        #expect(kernels.count == 1 && kernels.first?.regions.count == 3)
        let programs = RegionTable.candidates(
            in: RealImages.programPurgatory, within: RegionTableTests.reserved)
        #expect(programs.count == 1 && programs.first?.regions.count == 6)
    }

    @Test func refusesWhatIsNone() {
        let whole = RealImages.kernelPurgatory
        for length in 0..<whole.count {
            let cut = Array(whole[..<length])
            let found = RegionTable.candidates(in: cut, within: RegionTableTests.reserved)
            #expect(found.allSatisfy { $0.offset + RegionTable.byteCount <= length })
        }
        #expect(RegionTable.candidates(in: whole, within: AddressRanges()).isEmpty)
        let zeros = [UInt8](repeating: 0, count: 8192)
        #expect(RegionTable.candidates(in: zeros, within: RegionTableTests.reserved).isEmpty)
    }

    @Test func refusesOverlaps() {
        var bytes: [UInt8] = []
        for number in [0x3400_0000, 0x2000, 0x3400_1000, 0x2000] {
            bytes.append(littleEndian: UInt64(number))
        }
        bytes += [UInt8](repeating: 0, count: 256 - bytes.count)
        #expect(RegionTable.candidates(in: bytes, within: RegionTableTests.reserved).isEmpty)
    }
}
