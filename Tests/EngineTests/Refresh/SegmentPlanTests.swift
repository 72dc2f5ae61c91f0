// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What a patch lists, so that the pages which the kernel takes for itself hit no part of an image.
@Suite struct SegmentPlanTests {
    private let hole = AddressRange(start: 0x3300_0000, end: 0x3F00_0000)
    private let live = LiveSystem(
        ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 30)]), cpus: NumberSet([0]))

    /// An image whose parts lie at offsets from the bottom of reserved memory, in KiB.
    private func image(
        headerSize: UInt64, control: UInt64, parts: [(Range<UInt64>, ResidentImage.Role)]
    ) throws -> ResidentImage {
        let machine = try LoadedMachine()
        let base = try #require(try machine.audit(.cheap).finding.value?.image)
        var kimage = SyntheticKimage(entryAddress: hole.end - 0x1000, listed: [])
        let header = AddressRange(start: hole.start, end: hole.start + headerSize)
        let ranges = parts.map { part in
            AddressRange(
                start: hole.start + part.0.lowerBound << 10,
                end: hole.start + part.0.upperBound << 10)
        }
        kimage.listed = [header] + ranges
        kimage.controlPage = hole.start + control << 10
        let types = try BTF(btf: SyntheticTypes.kernel())
        let layout = try #require(Kimage.Layout(in: types))
        let listed = try Kimage(kimage.bytes, laidOut: layout, within: AddressRanges([hole]))
        return ResidentImage(
            kimage: listed,
            parts: [ResidentImage.Part(range: header, role: .coreHeader, isListed: true)]
                + zip(ranges, parts).map {
                    ResidentImage.Part(range: $0, role: $1.1, isListed: true)
                },
            header: ResidentImage.Header(range: header, core: base.header.core),
            digest: base.digest,
            integrity: .verified, commandLine: base.commandLine,
            identity: ImageIdentity(kimage: listed, place: 0, bytes: []))
    }

    private var rules: Architecture.Patching {
        get throws { try #require(Architecture.x86.patching) }
    }

    private func plan(
        _ image: ResidentImage, changing: [AddressRange] = [], on live: LiveSystem? = nil
    ) throws -> SegmentPlan {
        let start = image.header.range.start
        let header = Edit(
            range: AddressRange(start: start, end: start + 0x1000), bytes: [], isSegment: true,
            underDigest: nil)
        let others = changing.map {
            Edit(range: $0, bytes: [], isSegment: false, underDigest: nil)
        }
        return try SegmentPlan(
            for: image, edits: [header] + others, in: hole, pageSize: 0x1000,
            controlBytes: rules.controlBytes(live ?? self.live))
    }

    @Test func listsTheHeaderAloneWhereAllElseLiesHigh() throws {
        let image = try image(
            headerSize: 4096, control: 32, parts: [(150_000..<190_000, .kernel)])
        let plan = try plan(image)
        #expect(plan.copies.isEmpty)
    }

    /// What lies below the hole is listed, but not keys, which read as zeros.
    @Test func listsNoKeys() throws {
        func image(_ role: ResidentImage.Role) throws -> ResidentImage {
            try self.image(
                headerSize: 4096, control: 32,
                parts: [(36..<40, role), (150_000..<190_000, .kernel)])
        }
        #expect(try plan(image(.other)).copies.count == 1)
        let keys = try image(.targetKeys)
        let obstacle = #expect(throws: PatchObstacle.self) { try plan(keys) }
        #expect(obstacle?.description.contains("for itself") == true)
    }

    @Test func leavesAKernelThatKeepsUpRoomAndNoMore() throws {
        let image = try image(
            headerSize: 921_600, control: 932, parts: [(150_000..<190_000, .kernel)])
        let notes = ProcessorNotes(
            addresses: LoadedMachine.notes, possible: NumberSet([0, 1]),
            kernelNote: LoadedMachine.kernelNote)
        let edits = try HeaderPlan.edits(
            Edit.Context(
                image: image, live: LiveSystem(ram: live.ram, cpus: NumberSet([0, 1])),
                notes: notes, ramOutsideDumps: AddressRanges(), pageSize: 0x1000))
        let edit = try #require(edits.first)
        #expect(edits.count == 1 && edit.isSegment)
        let room = edit.range.byteCount - UInt64(edit.bytes.count)
        #expect(room >= 16 << 10 && room < 20 << 10 && edit.range.byteCount % 0x1000 == 0)
    }

    @Test func listsSmallPartsThatLieLow() throws {
        let image = try image(
            headerSize: 4096, control: 80,
            parts: [(8..<40, .purgatory), (44..<60, .bootParameters), (150_000..<190_000, .kernel)])
        let page = AddressRange(start: hole.start + 8 << 10, end: hole.start + 12 << 10)
        let plan = try plan(image, changing: [page])
        let copies = image.parts.filter { $0.role == .purgatory || $0.role == .bootParameters }
        #expect(AddressRanges(plan.copies) == AddressRanges(copies.map(\.range)))
    }

    @Test func refusesWhereTheKernelsPagesWouldHitALargePart() throws {
        let image = try image(
            headerSize: 4096, control: 180_000, parts: [(8..<170_000, .kernel)])
        let obstacle = failure { try plan(image) }
        #expect(obstacle.map { name(of: $0) } == "holeTooSmall")
    }

    /// Memory that has come since the load takes pages that the load did not.
    @Test func countsPagesForMemoryThatHasCome() throws {
        let image = try image(
            headerSize: 4096, control: 32, parts: [(2_048..<170_000, .kernel)])
        #expect(throws: Never.self) { try plan(image) }
        let giant = LiveSystem(
            ram: AddressRanges([AddressRange(start: 1 << 20, end: 1 << 40)]), cpus: NumberSet([0]))
        #expect(throws: PatchObstacle.self) {
            try plan(image, on: giant)
        }
    }

    @Test func noticesPagesOfTheKernelInAPart() throws {
        let spared = try image(headerSize: 4096, control: 32, parts: [(64..<128, .kernel)])
        #expect(spared.sparesItsParts(in: hole))
        let kimage = spared.kimage
        let parts =
            spared.parts + [
                ResidentImage.Part(
                    range: AddressRange(start: hole.start + 16 << 10, end: hole.start + 20 << 10),
                    role: .purgatory, isListed: false)
            ]
        let hit = ResidentImage(
            kimage: kimage, parts: parts, header: spared.header, digest: spared.digest,
            integrity: .verified, commandLine: spared.commandLine, identity: spared.identity)
        #expect(!hit.sparesItsParts(in: hole))
    }
}
