// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Images that a kernel for arm64 hides, made readable in a synthetic machine and patched.
@Suite struct ARM64DisclosureTests {
    private static let dimm = AddressRange(start: 0x1_0000_0000, end: 0x1_2000_0000)
    private static let pages = [4096, 16_384] as [UInt64]

    /// kexec-tools' image on a kernel that hides what is listed and does not list its variables.
    private func machine(page: UInt64, isHeaderRight: Bool = false) throws -> ARM64Machine {
        var machine = try ARM64Machine(
            page: page, maker: .program, isHeaderRight: isHeaderRight)
        (machine.hides, machine.isListed) = (true, false)
        return machine
    }

    private func disclosure(of machine: ARM64Machine) throws -> Disclosure? {
        let recorded = try machine.recorded()
        var engine = Engine(
            root: recorded.root, source: nil, architecture: machine.architecture)
        let look = try engine.look(.cheap, now: { 0 })
        guard case .unverified = look.verdict else {
            Issue.record("\(look.verdict)")
            return nil
        }
        return engine.disclosure(given: look)
    }

    private func load(_ disclosure: Disclosure, in machine: inout ARM64Machine) throws {
        for page in disclosure.pages {
            let bytes = try #require(PinnedBytes(disclosure.bytes))
            machine.load([Kexec.Segment(bytes: bytes, range: page)], entry: page.start)
        }
    }

    /// Patches it, and has it shown again.
    private func patch(_ machine: inout ARM64Machine) throws {
        let (plan, recorded) = try machine.plan()
        let reserved = AddressRanges([ARM64Machine.reserved])
        let layout = try KernelLayout(
            of: recorded.root, on: machine.architecture, within: reserved)
        let patch = try #require(
            try Patch.prepare(plan, below: recorded.root, laidOut: layout, within: reserved))
        machine.load(patch.segments, entry: plan.entry)
        try load(try #require(patch.disclosure), in: &machine)
    }

    private func check(
        _ machine: ARM64Machine, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let look = try machine.look().0
        #expect(look.verdict == .current, sourceLocation: sourceLocation)
        #expect(look.observation.image?.integrity == .verified, sourceLocation: sourceLocation)
        let rules = machine.architecture.patching
        #expect(
            look.observation.image?.sparesItsParts(in: ARM64Machine.reserved, by: rules) == true,
            sourceLocation: sourceLocation)
        #expect(try machine.crash() == nil, sourceLocation: sourceLocation)
    }

    @Test(arguments: pages, [true, false])
    func anImageThatIsHiddenIsShownAndHealed(page: UInt64, isHeaderRight: Bool) throws {
        var machine = try machine(page: page, isHeaderRight: isHeaderRight)
        #expect(try (machine.crash() == nil) == isHeaderRight)
        let disclosure = try #require(try disclosure(of: machine))
        #expect(disclosure.pages.count == 2)
        try load(disclosure, in: &machine)
        // Until the patch that must follow.
        #expect(try machine.crash() == "sha256 digests do not match")
        let look = try machine.look().0
        guard case .stale(let coverage) = look.verdict else {
            Issue.record("\(look.verdict)")
            return
        }
        #expect(coverage.flaw != nil && coverage.missingMemory.isEmpty)
        #expect(look.observation.image?.integrity == .verified, "but for that page")
        try patch(&machine)
        try check(machine)
        for round in 0..<3 {
            if round == 1 {
                machine.ram.removeLast()
            } else {
                machine.ram.append(ARM64DisclosureTests.dimm)
            }
            try patch(&machine)
            try check(machine)
        }
    }

    /// A header that has outgrown its place.
    @Test func aHiddenHeaderMoves() throws {
        var machine = try machine(page: 4096)
        for block in 0..<80 as Range<UInt64> {
            let start = 0x2_0000_0000 + block << 30
            machine.ram.append(AddressRange(start: start, end: start + 0x1000_0000))
        }
        try load(try #require(try disclosure(of: machine)), in: &machine)
        try patch(&machine)
        try check(machine)
        machine.ram.removeLast()
        try patch(&machine)
        try check(machine)
    }

    /// A daemon that was killed between a patch and what shows it leaves no trace but in memory.
    @Test(arguments: pages) func aPatchThatWasInterruptedIsShownLater(page: UInt64) throws {
        var machine = try machine(page: page)
        try load(try #require(try disclosure(of: machine)), in: &machine)
        machine.ram.append(ARM64DisclosureTests.dimm)
        let (plan, recorded) = try machine.plan()
        let reserved = AddressRanges([ARM64Machine.reserved])
        let layout = try KernelLayout(
            of: recorded.root, on: machine.architecture, within: reserved)
        let patch = try #require(
            try Patch.prepare(plan, below: recorded.root, laidOut: layout, within: reserved))
        machine.load(patch.segments, entry: plan.entry)
        #expect(try machine.crash() == nil)
        let disclosure = try #require(try disclosure(of: machine))
        #expect(disclosure.pages == patch.disclosure?.pages)
        try load(disclosure, in: &machine)
        try check(machine)
    }

    /// Damage is no less damage for having been hidden.
    @Test func damageIsFoundOnceItIsShown() throws {
        var machine = try machine(page: 4096, isHeaderRight: true)
        machine.put([0x5A, 0x5A], at: ARM64Machine.base + 0x2_0000)
        try load(try #require(try disclosure(of: machine)), in: &machine)
        #expect(try machine.look().0.observation.image?.integrity == .mismatch)
        machine = try self.machine(page: 4096, isHeaderRight: true)
        // Not all of the padding was.
        machine.put([0x5A, 0x5A], at: ARM64Machine.base + 0x1800)
        let parts = machine.kimage.listed.filter { $0 != machine.purgatory }
        try machine.writeDigest(parts)
        #expect(try machine.crash() == nil)
        try load(try #require(try disclosure(of: machine)), in: &machine)
        #expect(try machine.look().0.observation.image?.integrity == .mismatch)
    }

    /// Where it would do harm, or where nobody can say, nothing is loaded.
    @Test func whatWouldDoHarmIsLeftHidden() throws {
        var machine = try machine(page: 65_536)
        #expect(try disclosure(of: machine) == nil)
        machine = try ARM64Machine(page: 4096, maker: .kernel)
        machine.hides = true
        #expect(try disclosure(of: machine) == nil)
        machine = try self.machine(page: 4096)
        let free = AddressRange(start: ARM64Machine.base, end: ARM64Machine.base + 0x1000)
        machine.kimage.listed[0] = AddressRange(start: free.end, end: ARM64Machine.kernel.end)
        #expect(try disclosure(of: machine) == nil)
    }

    /// Where nothing is hidden, nothing is shown.
    @Test func aKernelThatHidesNothingIsLeftAlone() throws {
        let machine = try ARM64Machine(page: 4096, maker: .program)
        let (look, recorded) = try machine.look()
        let engine = Engine(
            root: recorded.root, source: nil, architecture: machine.architecture)
        #expect(look.observation.hidden == nil && engine.disclosure(given: look) == nil)
    }
}
