// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Patches of images on arm64, carried out in a synthetic machine as its kernel would, which is
/// then crashed.
@Suite struct ARM64PatchTests {
    private static let dimm = AddressRange(start: 0x1_0000_0000, end: 0x1_2000_0000)
    private static let pages = [4096, 16_384, 65_536] as [UInt64]

    private func patch(_ machine: inout ARM64Machine) throws -> [AddressRange] {
        try ARM64Machine.patch(&machine)
    }

    /// Looks at an image after a patch: it must be whole and right.
    private func check(
        _ machine: ARM64Machine, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let look = try machine.look().0
        let image = try #require(look.observation.image, sourceLocation: sourceLocation)
        let integrity = machine.maker == .kernel ? ResidentImage.Integrity.none : .verified
        #expect(image.integrity == integrity, sourceLocation: sourceLocation)
        #expect(image.maker == machine.maker, sourceLocation: sourceLocation)
        #expect(look.verdict == .current, sourceLocation: sourceLocation)
        let rules = Architecture.arm64(pageSize: machine.page).patching
        #expect(
            image.sparesItsParts(in: ARM64Machine.reserved, by: rules),
            sourceLocation: sourceLocation)
        #expect(try machine.crash() == nil, sourceLocation: sourceLocation)
    }

    @Test(arguments: pages, [Kimage.Loader.kernel, .program])
    func makesAnImageRightAgainAndAgain(page: UInt64, maker: Kimage.Loader) throws {
        var machine = try ARM64Machine(page: page, maker: maker)
        try check(machine)
        machine.cpus = 3
        machine.ram.append(ARM64PatchTests.dimm)
        #expect(try machine.crash() == "a dump of another machine")
        for round in 0..<5 {
            let listed = try patch(&machine)
            // The header and a trampoline, or the header, purgatory and the device tree.
            let moves = page == 65_536 && round == 0 ? 1 : 0
            #expect(listed.count == (maker == .kernel ? 2 : 3) + moves)
            try check(machine)
            if round % 2 == 0 {
                machine.ram.removeLast()
                machine.cpus = 2
            } else {
                machine.ram.append(ARM64PatchTests.dimm)
                machine.cpus = 4
            }
        }
    }
}
