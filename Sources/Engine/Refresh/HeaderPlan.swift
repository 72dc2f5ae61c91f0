// SPDX-License-Identifier: Apache-2.0

/// The core header that a machine needs, made from the one that is there; pure.
///
/// Only what hotplug changes is new: the RAM ranges, and the CPUs' notes if the old header lists
/// only present CPUs. Everything else (vmcoreinfo, the kernel's text, backups of the first memory)
/// is kept: whoever made the old header knew more about it than we can know now.
struct HeaderPlan {
    /// The header that is there.
    let old: CoreHeader
    /// The machine as it is now.
    let live: LiveSystem
    /// Where its CPUs save their registers.
    let notes: ProcessorNotes
    /// RAM that is not in `LiveSystem` and never hot-plugged: what the old header says about it is
    /// kept.
    let kept: AddressRanges

    /// How many bytes a header gets to grow, if the kernel updates it itself.
    ///
    /// Room for 292 more ranges: more DIMMs than any board has slots for. The kernel fills
    /// everything that is listed while the machine is unprotected, hence not the 900 KiB of its own
    /// load.
    static let growth: UInt64 = 16 << 10

    /// Makes the edit of an image's core header, in another place if it has outgrown its own.
    ///
    /// `place` finds one for a size in whole pages.
    /// - Throws: Why it cannot be made, or that there is no place.
    static func edit(
        _ context: Edit.Context,
        elsewhere place: (_ size: UInt64) throws(PatchObstacle) -> AddressRange
    ) throws(PatchObstacle) -> Edit {
        let old = context.image.header.range
        let bytes = try bytes(context)
        if bytes.count <= old.byteCount, let edit = try edits(context).first { return edit }
        let size = AddressRange(start: 0, end: UInt64(bytes.count) + growth)
        return Edit(
            range: try place(size.inWhole(pagesOf: context.pageSize).byteCount), bytes: bytes,
            isSegment: true, underDigest: context.image.digestCoversHeader ? old : nil,
            replaced: old)
    }

    /// Makes the edit of an image's core header: a producer of edits.
    ///
    /// The new header gets all of the room of the old one, unless the kernel has left far too much.
    /// - Throws: Why it cannot be made.
    static func edits(_ context: Edit.Context) throws(PatchObstacle) -> [Edit] {
        let old = context.image.header
        let bytes = try bytes(context)
        let (size, page) = (UInt64(bytes.count), context.pageSize)
        guard size <= old.range.byteCount else {
            throw .headerTooLarge(needed: size, room: old.range.byteCount)
        }
        guard old.range.start % page == 0, old.range.byteCount % page == 0 else {
            throw .imageNotUnderstood(because: "its core header is not page-aligned")
        }
        let wanted = AddressRange(start: old.range.start, end: old.range.start + size + growth)
        let end = min(old.range.end, wanted.inWhole(pagesOf: page).end)
        return [
            Edit(
                range: AddressRange(start: old.range.start, end: end), bytes: bytes,
                isSegment: true,
                underDigest: context.image.digestCoversHeader ? old.range : nil)
        ]
    }

    /// Makes the bytes of an image's new core header.
    ///
    /// - Throws: Why they cannot be made.
    static func bytes(_ context: Edit.Context) throws(PatchObstacle) -> [UInt8] {
        if let mapping = context.image.mapping {
            return try NewHeader(
                live: context.live, notes: context.notes, mapping: mapping,
                machine: context.machine
            ).header().encoded()
        }
        return try HeaderPlan(
            old: context.image.header.core, live: context.live, notes: context.notes,
            kept: context.ramOutsideDumps
        ).header().encoded()
    }

    /// Makes the new header.
    ///
    /// - Throws: Why it cannot be made.
    func header() throws(PatchObstacle) -> CoreHeader {
        let described = CoreDescription(of: old, kernelNote: notes.kernelNote)
        guard let kernelNote = described.kernelNote else {
            throw .imageNotUnderstood(because: "its core header has no vmcoreinfo note")
        }
        let ram = try ramEntries(described)
        let special = Set(described.special)
        var new = old
        new.entries = try noteEntries(described, besides: kernelNote) + [kernelNote]
        new.entries += old.entries.filter { entry in
            entry.kind != .note && (entry.kind != .memory || special.contains(entry))
        }
        new.entries += ram
        guard new.entries.count <= CoreHeader.mostEntries else {
            throw .headerTooLarge(
                needed: UInt64(new.byteCount), room: UInt64(CoreHeader.mostEntries) * 56)
        }
        return new
    }

    /// The CPUs' notes: the old ones if they are those of all possible CPUs, because the kernel
    /// does not say where the notes of absent CPUs are; else one for each present CPU.
    private func noteEntries(
        _ described: CoreDescription, besides kernelNote: CoreHeader.Entry
    ) throws(PatchObstacle) -> [CoreHeader.Entry] {
        let all = old.entries.filter { $0.kind == .note && $0.physical != kernelNote.physical }
        guard let form = all.first else {
            throw .imageNotUnderstood(because: "its core header has no CPU note")
        }
        let listed = Set(described.cpuNotes)
        if listed.count == notes.possible.count, listed.isSuperset(of: notes.addresses.values) {
            return all
        }
        var entries: [CoreHeader.Entry] = []
        for cpu in live.cpus.members.sorted() {
            guard let address = notes.addresses[cpu] else {
                throw .machineNotKnown(because: "CPU \(cpu) reports no address of its crash note")
            }
            var entry = form
            entry.offset = address
            entry.physical = address
            entries.append(entry)
        }
        return entries
    }

    private func ramEntries(_ described: CoreDescription) throws(PatchObstacle) -> [CoreHeader
        .Entry]
    {
        let form = old.entries.first { entry in
            entry.kind == .memory && entry.offset == entry.physical
                && entry.virtual &- entry.physical == described.directMap
        }
        guard let form else {
            throw .imageNotUnderstood(because: "its core header has no memory range")
        }
        let ram = live.ram.union(described.ram.intersection(kept))
        return ram.ranges.map { range in
            var entry = form
            entry.offset = range.start
            entry.physical = range.start
            entry.virtual = range.start &+ described.directMap
            entry.fileSize = range.byteCount
            entry.memorySize = range.byteCount
            return entry
        }
    }
}
