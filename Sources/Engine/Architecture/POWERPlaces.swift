// SPDX-License-Identifier: Apache-2.0

/// Where in reserved memory there is room on POWER for a part of an image that is moved; pure.
///
/// Not all that is there is in a segment: firmware lies there (RTAS, OPAL, tables for DMA), and
/// purgatory's stack. The image's own device tree tells of the firmware twice: in nodes, and in the
/// memory that it reserves (kexec-tools' fs2dt.c, `checkprop`). What is not certain is an obstacle.
enum POWERPlaces {
    /// Finds what is free of `hole`, in which `parts` are.
    ///
    /// It ends with the highest part, because whoever loaded the image knew which memory a capture
    /// kernel can use that early.
    /// - Throws: That a place is not known.
    static func find(
        beside parts: AddressRanges, in hole: AddressRange, tree: DeviceTree,
        purgatory: PurgatoryWords
    ) throws(PatchObstacle) -> FreePlaces {
        guard let stacks = purgatory.stacks(in: hole, beside: parts) else {
            throw .imageNotUnderstood(because: "the stack of its purgatory was not found")
        }
        let firmware = try POWERPlaces.firmware(in: tree)
        return FreePlaces(
            besides: parts.union(stacks).union(firmware).union(AddressRanges(tree.reservations)),
            in: AddressRange(start: hole.start, end: parts.ranges.last?.end ?? hole.start))
    }

    /// The memory that the firmware uses while a kernel runs.
    ///
    /// - Throws: That a node does not say how much.
    static func firmware(in tree: DeviceTree) throws(PatchObstacle) -> AddressRanges {
        let names = [
            ("linux,rtas-base", "rtas-size"), ("opal-base-address", "opal-runtime-size"),
            ("linux,tce-base", "linux,tce-size"),
        ]
        var ranges: [AddressRange] = []
        for node in tree.root.children {
            for (baseName, sizeName) in names {
                guard let base = node[baseName] else { continue }
                guard let start = base.number, let size = node[sizeName]?.number, size > 0,
                    start <= UInt64.max - size
                else {
                    throw .imageNotUnderstood(
                        because: "its device tree does not say how much memory \(node.name) uses")
                }
                ranges.append(AddressRange(start: start, end: start + size))
            }
        }
        return AddressRanges(ranges)
    }
}
