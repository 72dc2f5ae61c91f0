// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What is spared of an audit's longest part, making the digest anew, and what is lost by that.
@Suite struct LoadedSealTests {
    /// A digest that was found once is recognised for as long as the same bytes lie there.
    @Test func recognisesASeal() throws {
        var machine = try LoadedMachine()
        let seal = try #require(try machine.audit().finding.value?.image?.seal)
        let digest = try #require(seal.digest)
        #expect(digest.value != digest.withoutHeader)
        #expect(try machine.audit(.cheap, seal: seal).finding.value?.image?.seal == seal)
        let other = Array(machine.bytes(LoadedMachine.purgatory).prefix(1))
        machine.put(other + [7], at: LoadedMachine.digest + 3)
        #expect(try machine.audit(.cheap, seal: seal).finding.value?.image?.seal?.digest == nil)
        machine.put(digest.value, at: LoadedMachine.digest)
        let elsewhere = LoadedImage.Seal(
            table: seal.table, regions: seal.regions.reversed(), digest: digest)
        #expect(
            try machine.audit(.cheap, seal: elsewhere).finding.value?.image?.seal?.digest == nil)
    }

    @Test func givesWayBeforeItMakesADigest() throws {
        var asked = 0
        let report = try LoadedMachine().audit(givingWay: {
            asked += 1
            return asked == 2
        })
        let image = try #require(report.finding.value?.image)
        #expect(asked == 2 && report.byteCount < 0x6_0000)
        guard case .unknown(let reason) = image.integrity else {
            Issue.record("\(image.integrity)")
            return
        }
        #expect(reason.contains("newer events"))
        #expect(report.coverage(of: try LoadedMachine().live).value?.isExact == true)
    }
}
