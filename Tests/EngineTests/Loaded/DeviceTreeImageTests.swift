// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Images that are found by what they hold, in kernels that tell nothing of them.
@Suite struct DeviceTreeImageTests {
    private func look(
        _ machine: POWERMachine, _ depth: Engine.Depth = .thorough,
        _ adjust: (RecordedMachine) throws -> Void = { _ in }
    ) throws -> Engine.Look {
        let recorded = try machine.recorded()
        try adjust(recorded)
        var engine = Engine(
            root: recorded.root, source: nil, architecture: .power(pageSize: machine.page))
        return try engine.look(depth, now: { 0 })
    }

    private func patch(_ machine: inout POWERMachine) throws {
        let recorded = try machine.recorded()
        let architecture = Architecture.power(pageSize: machine.page)
        var engine = Engine(root: recorded.root, source: nil, architecture: architecture)
        var seen = try engine.look(.thorough, now: { 0 }).observation
        seen.firmware = POWERFirmware.describe(below: recorded.root)
        let patch = try #require(
            try Patch.prepare(
                PatchPlan(for: seen), below: recorded.root,
                laidOut: KernelLayout(of: recorded.root, on: architecture),
                within: AddressRanges([POWERMachine.reserved])))
        machine.load(patch.segments)
    }

    @Test(arguments: [4096, 65_536] as [UInt64])
    func isReadAsIfItWereListed(page: UInt64) throws {
        var machine = try POWERMachine(page: page)
        let listed = try #require(try look(machine).observation.image)
        machine.isListed = false
        let seen = try look(machine)
        let found = try #require(seen.observation.image)
        #expect(found.parts == listed.parts && found.kimage.entry == listed.kimage.entry)
        #expect(found.integrity == .verified && seen.verdict == .current)
        #expect(found.kimage.isFoundByContents && found.kimage.kernelKeepsUp == nil)
    }

    /// After a patch the kernel lists three parts, and all of them are found.
    @Test(arguments: [4096, 65_536] as [UInt64])
    func isPatchedAgainAndAgain(page: UInt64) throws {
        var machine = try POWERMachine(page: page)
        machine.isListed = false
        for round in 0..<4 {
            machine.cores.append([UInt32(16 + round * 8)])
            #expect(try machine.crash(on: UInt32(16 + round * 8)) != nil)
            try patch(&machine)
            #expect(try look(machine).verdict == .current)
            #expect(try machine.crash(on: UInt32(16 + round * 8)) == nil)
        }
    }

    /// Without its digest nobody knows whether it is the image that is loaded.
    @Test func isProvenByItsDigest() throws {
        var machine = try POWERMachine(page: 65_536)
        machine.isListed = false
        machine.cores.append([16])
        let recorded = try machine.recorded()
        var seen = try look(machine, .cheap).observation
        seen.firmware = POWERFirmware.describe(below: recorded.root)
        #expect(try PatchPlan(for: seen).isDigestUnfound)
        machine.put([0], at: machine.initrd.start + 7)
        let reason = try #require(try look(machine).observation.finding.reason)
        #expect(reason.contains("may be the remains"))
        #expect(name(of: try look(machine).verdict) == "unverified")
    }

    /// Each of the values that lead from part to part.
    @Test func isNotFoundWithoutItsValues() throws {
        var machine = try POWERMachine(page: 65_536)
        machine.isListed = false
        let places = [
            machine.tree.start, machine.header.start, machine.purgatory.start + 8,
            machine.purgatory.start + 0x2000, machine.purgatory.start + POWERMachine.words.tree,
            machine.purgatory.start + POWERMachine.words.kernel,
        ]
        for place in places {
            var other = machine
            other.put([0xEE], at: place)
            let finding = try look(other).observation.finding
            #expect(finding.reason?.contains("nothing in reserved memory") == true, "\(place)")
        }
    }

    /// A kernel that may update the image itself must tell whether it does.
    @Test func isNotLookedForWhereTheKernelMayUpdateIt() throws {
        var machine = try POWERMachine(page: 65_536)
        machine.isListed = false
        let look = try look(machine) { recorded in
            try recorded.write("0\n", to: "/sys/devices/system/cpu/crash_hotplug")
        }
        #expect(look.observation.finding.reason?.contains("BTF") == true)
        let elsewhere = try machine.recorded()
        #expect(throws: Unknowable.self) { try KernelLayout(of: elsewhere.root, on: .x86) }
    }
}
