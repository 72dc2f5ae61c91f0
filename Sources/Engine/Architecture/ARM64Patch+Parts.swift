// SPDX-License-Identifier: Apache-2.0

/// The device tree in a patch on arm64, and where there is room for what moves.
extension ARM64Patch {
    /// What is free beside the image.
    var free: FreePlaces {
        let parts =
            image.parts.map(\.range) + residence.parts + [residence.kernel, image.header.range]
        return FreePlaces(
            besides: AddressRanges(parts + tree.tree.reservations), in: context.hole)
    }

    /// Makes the device tree anew where it has to change, in another place if it has outgrown its
    /// own; returns where it is.
    ///
    /// Under a digest it always is: the first patch takes it out, so that it can change at any
    /// later one.
    func treeEdits(
        beside header: Edit, _ places: inout FreePlaces
    ) throws(PatchObstacle) -> (place: UInt64, [Edit]) {
        let old = residence.tree
        let used = AddressRange(
            start: header.range.start, end: header.range.start + UInt64(header.bytes.count))
        let isNamed =
            tree.header?.start == used.start && tree.header.map { $0.end >= used.end } == true
        guard !isNamed || purgatory != nil else { return (old.start, []) }
        var new = tree
        try new.name(header: header.range)
        let isCovered = image.digest?.regions.contains { $0.overlaps(old) } ?? false
        let needed: Int
        do throws(DeviceTree.Oversize) {
            let bytes = try new.tree.encoded(in: Int(old.byteCount))
            let edit = Edit(
                range: old, bytes: bytes, isSegment: true, underDigest: isCovered ? old : nil)
            return (old.start, [edit])
        } catch {
            needed = error.needed
        }
        let place = try places.take(
            AddressRange(start: 0, end: UInt64(needed)).inWhole(pagesOf: context.pageSize)
                .byteCount,
            alignedTo: ARM64Patch.alignment, fromTop: true, for: "its device tree")
        guard let bytes = try? new.tree.encoded(in: Int(place.byteCount)) else {
            throw .imageNotUnderstood(because: "its device tree is too large")
        }
        let edit = Edit(
            range: place, bytes: bytes, isSegment: true, underDigest: isCovered ? old : nil,
            replaced: old)
        let word = try purgatory.map { words throws(PatchObstacle) in
            try words.edit(old.start, to: place.start, of: "the device tree")
        }
        return (place.start, [edit] + (word.map { [$0] } ?? []))
    }
}
