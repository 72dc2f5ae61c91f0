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

    /// Without the cure the kernel writes into the image: into code where pages have 64 KiB, else
    /// into what purgatory's digest covers.
    @Test(arguments: pages, [Kimage.Loader.kernel, .program])
    func aNaiveListHitsTheKernel(page: UInt64, maker: Kimage.Loader) throws {
        var machine = try ARM64Machine(page: page, maker: maker)
        let listed = [machine.header, maker == .kernel ? machine.tree : machine.purgatory]
        let segments = try listed.map { range in
            Kexec.Segment(
                bytes: try #require(PinnedBytes(machine.bytes(range))), range: range)
        }
        machine.load(segments, entry: machine.kimage.entryAddress)
        // Nobody tells a kernel that is entered directly where its device tree is.
        let words =
            maker == .program
            ? "sha256 digests do not match" : page == 65_536 ? "an exception" : "silence"
        #expect(try machine.crash() == words)
        guard case .broken = try machine.look().0.verdict else {
            Issue.record("a crash would leave no dump")
            return
        }
    }

    @Test(arguments: pages, [Kimage.Loader.kernel, .program])
    func movesAHeaderThatOutgrowsItsPlace(page: UInt64, maker: Kimage.Loader) throws {
        var machine = try ARM64Machine(page: page, maker: maker)
        for block in 0..<(page == 4096 ? 80 : page / 56 + 80) {
            let start = 0x2_0000_0000 + block << 30
            machine.ram.append(AddressRange(start: start, end: start + 0x1000_0000))
        }
        _ = try patch(&machine)
        try check(machine)
        let image = try #require(try machine.look().0.observation.image)
        #expect(image.header.range.start != machine.header.start)
        machine.ram.removeLast()
        let listed = try patch(&machine)
        #expect(listed.contains { $0.start == image.header.range.start })
        try check(machine)
    }

    @Test(arguments: [4096, 16_384] as [UInt64], [Kimage.Loader.kernel, .program])
    func movesATreeThatOutgrowsItsPlace(page: UInt64, maker: Kimage.Loader) throws {
        var machine = try ARM64Machine(page: page, maker: maker, slack: 0)
        // Reserving the header takes 16 bytes where it was not reserved.
        for block in 0..<(page / 56 + 80) {
            let start = 0x2_0000_0000 + block << 30
            machine.ram.append(AddressRange(start: start, end: start + 0x1000_0000))
        }
        _ = try patch(&machine)
        try check(machine)
        machine.ram.removeLast()
        _ = try patch(&machine)
        try check(machine)
    }

    /// kexec-tools' header on kernels that hide a symbol from it.
    @Test(arguments: [4096, 65_536] as [UInt64])
    func aHeaderThatIsWrongAboutTheKernelIsMadeAnew(page: UInt64) throws {
        var machine = try ARM64Machine(page: page, maker: .program, isHeaderRight: false)
        #expect(try machine.crash() == "oops in copy_oldmem_page")
        guard case .stale(let coverage) = try machine.look().0.verdict else {
            Issue.record("the capture kernel would crash")
            return
        }
        #expect(coverage.losesAnything && coverage.missingMemory.isEmpty)
        #expect(coverage.flaw?.contains("the capture kernel will crash reading it") == true)
        _ = try patch(&machine)
        try check(machine)
        machine.ram.append(ARM64PatchTests.dimm)
        _ = try patch(&machine)
        try check(machine)
    }

    private func obstacle(
        of machine: ARM64Machine, _ adjust: (inout Observation) -> Void = { _ in }
    ) throws -> String {
        let obstacle = #expect(throws: PatchObstacle.self) {
            let (plan, recorded) = try machine.plan(adjust: adjust)
            _ = try Patch.prepare(
                plan, below: recorded.root, laidOut: KernelLayout(of: recorded.root),
                within: AddressRanges([ARM64Machine.reserved]))
        }
        return obstacle?.description ?? ""
    }

    /// What is not certain is an obstacle.
    @Test(arguments: [Kimage.Loader.kernel, .program])
    func guessesNothing(maker: Kimage.Loader) throws {
        let machine = try ARM64Machine(page: 4096, maker: maker)
        #expect(throws: Never.self) { try machine.plan() }
        var used = machine
        used.put([1], at: ARM64Machine.base + 0x1123)
        if maker == .program {
            try used.writeDigest(used.kimage.listed.filter { $0 != used.purgatory })
        }
        #expect(try obstacle(of: used).contains("is in use"))
        used = machine
        used.put([0], at: ARM64Machine.base + 56)
        #expect(try obstacle(of: used).contains("not certain"))
    }

    /// What the running kernel has put into a capture kernel is noticed without a digest, too.
    @Test(arguments: pages) func aPageOfTheKernelsInTheImageIsNoticed(page: UInt64) throws {
        var machine = try ARM64Machine(page: page, maker: .kernel)
        machine.ram.append(ARM64PatchTests.dimm)
        _ = try patch(&machine)
        #expect(try machine.look().0.verdict == .current)
        // A page that is neither padding nor vmcoreinfo.
        machine.put([1, 2, 3, 4], at: machine.notePage)
        let verdict = try machine.look().0.verdict
        let isMoved = page == 65_536
        #expect((verdict == .current) == isMoved)
        if case .broken(let reason) = verdict { #expect(reason.contains("page of its own")) }
    }

    @Test func findsThePointerByItsValue() throws {
        var machine = try ARM64Machine(page: 4096, maker: .program)
        machine.isListed = false
        machine.ram.append(ARM64PatchTests.dimm)
        let (look, recorded) = try machine.look()
        guard case .stale = look.verdict else {
            Issue.record("\(look.verdict)")
            return
        }
        let layout = try KernelLayout(
            of: recorded.root, on: machine.architecture,
            within: AddressRanges([ARM64Machine.reserved]))
        #expect(layout.pointer == ARM64Machine.pointer)
        #expect(throws: Unknowable.self) {
            try KernelLayout(of: recorded.root, on: .x86, within: AddressRanges())
        }
        machine.pointers = 2
        #expect(try machine.look().0.observation.finding.reason?.contains("more than one") == true)
        machine.pointers = 0
        #expect(try machine.look().0.observation.finding.reason?.contains("no variable") == true)
    }

    @Test func hotAddedMemoryNeedsAParameter() throws {
        let machine = try ARM64Machine(page: 4096, maker: .program)
        var seen = try machine.look().0.observation
        seen.hotplugMemory = HotplugMemory(isPossible: true, isPresent: true)
        #expect(seen.lacks.map(\.need) == [.leaveHotAddedMemoryAlone])
        #expect(Verdict.judge(seen.facts) == .missingParameter([.leaveHotAddedMemoryAlone]))
        var ready = machine
        ready.commandLine += " acpi_no_memhotplug"
        try ready.putTree()
        try ready.writeDigest(ready.kimage.listed.filter { $0 != ready.purgatory })
        seen = try ready.look().0.observation
        seen.hotplugMemory = HotplugMemory(isPossible: true, isPresent: true)
        #expect(seen.lacks.isEmpty && Verdict.judge(seen.facts) == .current)
    }

    /// Random changes of a machine, each patched and crashed.
    @Test(arguments: pages, [Kimage.Loader.kernel, .program])
    func survivesRandomChanges(page: UInt64, maker: Kimage.Loader) throws {
        var generator = Repeatable(page)
        var machine = try ARM64Machine(page: page, maker: maker, slack: 16)
        for _ in 0..<8 {
            machine.cpus = Int.random(in: 1...4, using: &generator)
            let dimms = UInt64.random(in: 0...90, using: &generator)
            machine.ram =
                [AddressRange(start: 0x4000_0000, end: 0x8000_0000)]
                + (0..<dimms).map { number in
                    let start = 0x1_0000_0000 + number << 30
                    return AddressRange(start: start, end: start + 0x1000_0000)
                }
            _ = try patch(&machine)
            try check(machine)
        }
    }
}
