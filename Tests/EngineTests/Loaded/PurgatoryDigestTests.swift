// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What is spared of an audit's longest part, making the digest anew, and what is lost by that.
@Suite struct PurgatoryDigestTests {
    /// A digest that was found once is recognised for as long as the same bytes lie there.
    @Test func recognisesADigest() throws {
        var machine = try LoadedMachine()
        let digest = try #require(try machine.audit().finding.value?.image?.digest)
        let found = try #require(digest.found)
        #expect(found.value != found.withoutEdited)
        #expect(try machine.audit(.cheap, digest: digest).finding.value?.image?.digest == digest)
        let other = Array(machine.bytes(LoadedMachine.purgatory).prefix(1))
        machine.put(other + [7], at: LoadedMachine.digest + 3)
        #expect(
            try machine.audit(.cheap, digest: digest).finding.value?.image?.digest?.found == nil)
        machine.put(found.value, at: LoadedMachine.digest)
        let elsewhere = PurgatoryDigest(
            table: digest.table, regions: digest.regions.reversed(), found: found)
        #expect(
            try machine.audit(.cheap, digest: elsewhere).finding.value?.image?.digest?.found == nil)
    }
}
