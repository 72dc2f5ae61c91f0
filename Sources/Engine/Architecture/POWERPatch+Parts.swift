// SPDX-License-Identifier: Apache-2.0

/// The parts of a patch on POWER that describe the machine: the core header and the device tree, each in
/// another place if it has outgrown its own.
extension POWERPatch {
    /// How many bytes a device tree gets to grow when it is moved: a node of a CPU has about 700.
    private static let treeGrowth: UInt64 = 64 << 10

    /// Makes the core header, in another place if it has outgrown its own.
    func headerEdit(_ places: inout FreePlaces?) throws(PatchObstacle) -> Edit {
        try HeaderPlan.edit(context) { size throws(PatchObstacle) in
            try take(size, alignedTo: context.pageSize, for: "its core header", &places)
        }
    }

    /// Makes the device tree, and where it has outgrown its place, the word of purgatory that says where
    /// it is.
    func treeEdits(
        beside header: Edit, _ places: inout FreePlaces?
    ) throws(PatchObstacle) -> [Edit] {
        try checkProcessors()
        var new = tree
        new.root.replaceProcessors(by: firmware)
        new.reserve(header.range, insteadOf: image.header.range)
        if header.range.start != image.header.range.start {
            try new.name(header.range.start)
        }
        let isCovered = image.digest?.regions.contains { $0.overlaps(treeRange) } ?? false
        new.reserve(treeRange, insteadOf: treeRange)
        let needed: Int
        do throws(DeviceTree.Oversize) {
            let bytes = try new.encoded(in: Int(treeRange.byteCount))
            return [
                Edit(
                    range: treeRange, bytes: bytes, isSegment: true,
                    underDigest: isCovered ? treeRange : nil)
            ]
        } catch {
            needed = error.needed
        }
        return try movedTreeEdits(new, needed: needed, isCovered: isCovered, &places)
    }

    /// Puts a tree that takes `needed` bytes in another place, and says so in purgatory.
    private func movedTreeEdits(
        _ tree: DeviceTree, needed: Int, isCovered: Bool, _ places: inout FreePlaces?
    ) throws(PatchObstacle) -> [Edit] {
        var new = tree
        let size = AddressRange(start: 0, end: UInt64(needed) + POWERPatch.treeGrowth)
        let place = try take(
            size.inWhole(pagesOf: context.pageSize).byteCount, alignedTo: context.pageSize,
            for: "its device tree", &places)
        new.reserve(place, insteadOf: treeRange)
        guard let bytes = try? new.encoded(in: Int(place.byteCount)) else {
            throw .imageNotUnderstood(because: "its device tree is too large")
        }
        let word = try purgatory.edit(treeRange.start, to: place.start, of: "the device tree")
        return [
            Edit(
                range: place, bytes: bytes, isSegment: true,
                underDigest: isCovered ? treeRange : nil, replaced: treeRange),
            word,
        ]
    }

    /// Makes sure that the firmware names every CPU: one that it does not name is coming or going.
    private func checkProcessors() throws(PatchObstacle) {
        let named = NumberSet(Set(firmware.processors.flatMap(\.threads)))
        let unnamed = context.notes.cpus(outside: named)
        guard unnamed.isEmpty else {
            throw .machineNotKnown(because: "the device tree does not name CPU \(unnamed)")
        }
    }

    /// Takes room for a part that moves, of what is free beside the image and the firmware.
    func take(
        _ size: UInt64, alignedTo alignment: UInt64, for what: String,
        _ places: inout FreePlaces?
    ) throws(PatchObstacle) -> AddressRange {
        // Not `??`: it would widen the type of the error.
        var known: FreePlaces
        if let places {
            known = places
        } else {
            known = try POWERPlaces.find(
                beside: AddressRanges(image.parts.map(\.range)), in: context.hole, tree: tree,
                purgatory: purgatory)
        }
        defer { places = known }
        return try known.take(size, alignedTo: alignment, for: what)
    }
}
