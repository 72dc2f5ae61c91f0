// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Patches of images on POWER, carried out in a synthetic machine as its kernel would, which is then
/// crashed.
@Suite struct POWERPatchTests {
    private static let dimm = AddressRange(start: 0x1_0000_0000, end: 0x1_2000_0000)
    private static let newCPU: UInt32 = 16

    private func look(_ machine: POWERMachine) throws -> (Engine.Look, RecordedMachine) {
        let recorded = try machine.recorded()
        var engine = Engine(
            root: recorded.root, source: nil, architecture: .power(pageSize: machine.page))
        return (try engine.look(.thorough, now: { 0 }), recorded)
    }

    private func plan(
        _ machine: POWERMachine, adjust: (inout Observation) -> Void = { _ in }
    ) throws -> (PatchPlan, RecordedMachine) {
        let (look, recorded) = try look(machine)
        var seen = look.observation
        seen.firmware = POWERFirmware.describe(below: recorded.root)
        adjust(&seen)
        return (try PatchPlan(for: seen), recorded)
    }

    @discardableResult private func patch(_ machine: inout POWERMachine) throws -> [AddressRange] {
        let (plan, recorded) = try plan(machine)
        let patch = try #require(
            try Patch.prepare(
                plan, below: recorded.root, laidOut: KernelLayout(of: recorded.root),
                within: AddressRanges([POWERMachine.reserved])))
        machine.load(patch.segments)
        return patch.segments.map(\.range)
    }

    /// Looks at an image after a patch: it must be whole and right.
    private func check(
        _ machine: POWERMachine, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let look = try look(machine).0
        let image = try #require(look.observation.image, sourceLocation: sourceLocation)
        #expect(image.integrity == .verified, sourceLocation: sourceLocation)
        #expect(look.verdict == .current, sourceLocation: sourceLocation)
        let rules = Architecture.power(pageSize: machine.page).patching
        #expect(
            image.sparesItsParts(in: POWERMachine.reserved, by: rules),
            sourceLocation: sourceLocation)
        for core in machine.cores.flatMap({ $0 }) {
            #expect(try machine.crash(on: core) == nil, sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: [4096, 65_536] as [UInt64], [true, false])
    func makesAnImageRightAgainAndAgain(page: UInt64, keepsUp: Bool) throws {
        var machine = try POWERMachine(page: page, keepsUp: keepsUp)
        #expect(try machine.crash(on: 8) == nil)
        machine.cores.append([POWERPatchTests.newCPU])
        #expect(try machine.crash(on: POWERPatchTests.newCPU) == "Failed to identify boot CPU")
        machine.ram.append(POWERPatchTests.dimm)
        #expect(try machine.crash(on: 0) == "a dump of another machine")
        for round in 0..<5 {
            let listed = try patch(&machine)
            // Header, device tree and purgatory; and what cures the place of the kernel's own pages.
            #expect(listed.count == (page == 4096 || round == 0 ? 4 : 3))
            try check(machine)
            if round % 2 == 0 {
                machine.ram.removeLast()
                machine.cores.removeLast()
            } else {
                machine.ram.append(POWERPatchTests.dimm)
                machine.cores.append([POWERPatchTests.newCPU, 17])
            }
        }
        let kernel = machine.word(POWERMachine.words.kernel)
        #expect((kernel == POWERMachine.base) == (page == 4096))
    }

    /// The pages are those that the kernel's own loop finds, whatever is listed.
    @Test(arguments: [4096, 65_536] as [UInt64]) func knowsTheKernelsOwnPages(page: UInt64) {
        var generator = Repeatable(page + 1)
        for _ in 0..<200 {
            let listed = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                let start = UInt64.random(in: 0..<20, using: &generator)
                let size = UInt64.random(in: 1...4, using: &generator)
                return AddressRange(
                    start: POWERMachine.base + start * page,
                    end: POWERMachine.base + (start + size) * page)
            }
            let pages = ControlPages(
                beside: AddressRanges(listed), in: POWERMachine.reserved, pageSize: page)
            let own = POWERMachine.ownPages(beside: listed, page: page)
            #expect(pages?.code.start == own[0] && pages?.note.start == own[1])
        }
    }

    /// Without the cure the kernel writes into the image.
    @Test(arguments: [4096, 65_536] as [UInt64])
    func aNaiveListHitsTheKernel(page: UInt64) throws {
        var machine = try POWERMachine(page: page)
        try machine.writeDigest([POWERMachine.kernel, POWERMachine.backup, machine.initrd])
        #expect(try machine.crash(on: 0) == nil)
        let segments = try [machine.header, machine.purgatory, machine.tree].map { range in
            Kexec.Segment(
                bytes: try #require(PinnedBytes(machine.bytes(range))), range: range)
        }
        machine.load(segments)
        #expect(try machine.crash(on: 0) == "sha256 digests do not match")
    }

    @Test(arguments: [4096, 65_536] as [UInt64])
    func movesATreeThatOutgrowsItsPlace(page: UInt64) throws {
        var machine = try POWERMachine(page: page, slack: 16)
        for core in 2..<(page == 4096 ? 60 : 700) { machine.cores.append([UInt32(core * 8)]) }
        try patch(&machine)
        #expect(machine.word(POWERMachine.words.tree) != machine.tree.start)
        for cpu in [0, 8, machine.cores[machine.cores.count - 1][0]] as [UInt32] {
            #expect(try machine.crash(on: cpu) == nil)
        }
        let place = machine.word(POWERMachine.words.tree)
        machine.cores.append([9000])
        try patch(&machine)
        #expect(machine.word(POWERMachine.words.tree) == place)
        #expect(try machine.crash(on: 9000) == nil)
    }

    @Test(arguments: [true, false]) func movesAHeaderThatOutgrowsItsPlace(keepsUp: Bool) throws {
        var machine = try POWERMachine(page: 4096, keepsUp: keepsUp)
        let count = keepsUp ? 2400 : 80
        for block in 0..<UInt64(count) {
            let start = 0x2_0000_0000 + block << 30
            machine.ram.append(AddressRange(start: start, end: start + 0x1000_0000))
        }
        try patch(&machine)
        try check(machine)
        machine.ram.removeLast()
        try patch(&machine)
        try check(machine)
    }

    /// kexec-tools reserves what a header has at first, and the kernel lets it grow.
    @Test func reservesAllOfTheHeader() throws {
        var machine = try POWERMachine(page: 4096, keepsUp: true)
        for block in 1...10 as ClosedRange<UInt64> {
            let start = block << 32
            machine.ram.append(AddressRange(start: start, end: start + 0x1000_0000))
        }
        let (plan, _) = try plan(machine)
        // What a kernel does that keeps up: the header alone, in its place.
        let header = try #require(plan.edits.first { $0.range.start == machine.header.start })
        machine.put(header.bytes, at: machine.header.start)
        #expect(try machine.crash(on: 0) == "panic in vmcore_init")
        let coverage = try #require(try look(machine).0.observation.coverage.value)
        #expect(coverage.flaw?.contains("does not reserve") == true && coverage.losesAnything)
        #expect(coverage.missingMemory.isEmpty && coverage.loss(on: machine.live) == 1)
        try patch(&machine)
        try check(machine)
    }

    @Test func tellsTheRealSizeOfThePageTable() throws {
        var machine = try POWERMachine(page: 4096)
        machine.pageTableOrder = 24
        #expect(try look(machine).0.verdict == .current && machine.crash(on: 0) == nil)
        machine.pageTableOrder = 26
        #expect(try machine.crash(on: 0) == "hangs")
        guard case .stale(let coverage) = try look(machine).0.verdict else {
            Issue.record("the capture kernel would hang")
            return
        }
        #expect(coverage.flaw?.contains("2^26") == true)
        try patch(&machine)
        try check(machine)
        // A machine without such a table says 0.
        machine.pageTableOrder = 0
        #expect(try look(machine).0.verdict == .current)
    }

    private func obstacle(
        of machine: POWERMachine, _ adjust: (inout Observation) -> Void = { _ in }
    ) throws -> String {
        let obstacle = #expect(throws: PatchObstacle.self) {
            let (plan, recorded) = try plan(machine, adjust: adjust)
            _ = try Patch.prepare(
                plan, below: recorded.root, laidOut: KernelLayout(of: recorded.root),
                within: AddressRanges([POWERMachine.reserved]))
        }
        return obstacle?.description ?? ""
    }

    /// What is not certain is an obstacle.
    @Test func guessesNothing() throws {
        let machine = try POWERMachine(page: 4096)
        #expect(throws: Never.self) { try plan(machine) }
        var used = machine
        used.put([1], at: POWERMachine.base + 0x7123)
        try used.writeDigest([POWERMachine.kernel, POWERMachine.backup, used.initrd])
        #expect(try obstacle(of: used).contains("is in use"))
        let unasked = try obstacle(of: machine) { $0.firmware = .unknown(because: "x") }
        #expect(unasked == "the machine cannot be described: x")
        let unnamed = try obstacle(of: machine) { seen in
            let node = DeviceTree.Node(name: "cpu@0")
            seen.firmware = .known(
                FirmwareDescription(processors: [node], pageTableOrder: nil))
        }
        #expect(unnamed.contains("does not name CPU 0-1"))
    }

    @Test(arguments: [POWERMachine.words.kernel, POWERMachine.words.stack])
    func movesNothingWithoutItsWords(word: UInt64) throws {
        var machine = try POWERMachine(page: 65_536)
        #expect(throws: Never.self) { try plan(machine) }
        machine.put([UInt8](repeating: 0, count: 8), at: machine.purgatory.start + word)
        if word == POWERMachine.words.stack {
            // So is everything else that points to no part.
            machine.put([UInt8](repeating: 0, count: 8), at: machine.purgatory.start + 0x2220)
        }
        let reason = try obstacle(of: machine)
        #expect(reason.contains("not certain") || reason.contains("stack"))
    }

    /// Random changes of a machine, each patched and crashed.
    @Test(arguments: [4096, 65_536] as [UInt64])
    func survivesRandomChanges(page: UInt64) throws {
        var generator = Repeatable(page)
        var machine = try POWERMachine(page: page, keepsUp: true, slack: 64)
        for _ in 0..<8 {
            let count = Int.random(in: 1...40, using: &generator)
            machine.cores = (0..<count).map { [UInt32($0 * 8), UInt32($0 * 8 + 1)] }
            let dimms = UInt64.random(in: 0...90, using: &generator)
            machine.ram =
                [AddressRange(start: 0, end: 0x4000_0000)]
                + (0..<dimms).map { number in
                    let start = 0x1_0000_0000 + number << 30
                    return AddressRange(start: start, end: start + 0x1000_0000)
                }
            try patch(&machine)
            try check(machine)
        }
    }
}
