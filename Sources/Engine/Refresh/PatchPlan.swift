// SPDX-License-Identifier: Apache-2.0

/// What a patch writes where, for an image and a machine as observed; pure.
///
/// Everything that prevents a patch is found here, before any memory is read for it.
struct PatchPlan: Equatable {
    /// What is written.
    let edits: [Edit]
    /// What is listed in addition to the edits' own segments, with its present contents, by
    /// address.
    let copies: [AddressRange]
    /// A page of the image that must be unused, and that the kernel will write; `nil` if there is
    /// none.
    let landing: AddressRange?
    /// Where the crash jumps to from then on.
    let entry: UInt64
    /// Whether purgatory's digest must be looked for before the patch can be prepared.
    let isDigestUnfound: Bool
    /// The image that is patched.
    let image: ResidentImage
    /// The architecture it is for.
    let architecture: Architecture

    /// Plans a patch after which the observed image describes the observed machine.
    ///
    /// - Throws: The first obstacle found.
    init(for seen: Observation) throws(PatchObstacle) {
        architecture = seen.architecture
        guard let rules = architecture.patching else { throw .architecture(architecture) }
        try PatchPlan.refuseWhatTheMachineForbids(seen)
        image = try PatchPlan.image(seen)
        let entry = image.kimage.entry
        guard let hole = seen.reserved.value?.first(where: { $0.holds(entry) }) else {
            throw .imageNotUnderstood(because: "its entry lies outside reserved memory")
        }
        let context = try PatchPlan.context(seen, image: image, in: hole, by: rules)
        let draft = try rules.draft(context)
        let digest = try PurgatoryDigestEdits(for: image, besides: draft)
        edits = draft.edits + digest.edits
        landing = draft.landing
        self.entry = draft.entry ?? entry
        // The digest also proves that what was found by its contents is an image at all.
        isDigestUnfound =
            digest.isDigestUnfound
            || image.kimage.isFoundByContents && image.integrity != .verified
        // It is found by computing it, and it covers what nobody can read.
        if isDigestUnfound && image.hidesTargetKeys { throw .digestNotUnderstood }
        if let listed = draft.copies {
            copies = listed.ranges
        } else {
            copies = try SegmentPlan(
                for: image, edits: edits, in: hole, pageSize: rules.pageSize,
                controlBytes: rules.controlBytes(context.live)
            ).copies
        }
    }

    private static func refuseWhatTheMachineForbids(_ seen: Observation) throws(PatchObstacle) {
        if seen.support.lockdown != .none { throw .lockedDown }
        if seen.support.loadingDisabled { throw .loadingDisabled }
        if seen.support.loadsLeft == 0 { throw .noLoadsLeft }
    }

    private static func image(_ seen: Observation) throws(PatchObstacle) -> ResidentImage {
        switch seen.finding {
        case .known(.image(let image)):
            // What is resident and in no known place may be hit by the kernel's own pages.
            if image.holdsTargetKeys == true,
                !image.parts.contains(where: { $0.role == .targetKeys })
            {
                throw .imageNotUnderstood(
                    because: "its keys of the dump target are in no part of it")
            }
            return image
        case .known(.nothing): throw .imageNotUnderstood(because: "nothing is loaded")
        case .known(.broken(let reason)), .unknown(let reason):
            throw .imageNotUnderstood(because: reason)
        }
    }

    private static func context(
        _ seen: Observation, image: ResidentImage, in hole: AddressRange,
        by rules: Architecture.Patching
    ) throws(PatchObstacle) -> Edit.Context {
        switch (seen.live, seen.notes) {
        case (.known(let live), .known(let notes)):
            Edit.Context(
                image: image, live: live, notes: notes,
                ramOutsideDumps: seen.architecture.unjudged(
                    reserved: seen.reserved.value ?? [], of: image.kimage.entry),
                pageSize: rules.pageSize, hole: hole, machine: seen.architecture.number,
                firmware: seen.firmware)
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            throw .machineNotKnown(because: reason)
        }
    }

    /// All of the image except what the edits replace, in as few pieces as possible.
    var rest: [AddressRange] {
        AddressRanges(SegmentPlan.untouched(of: image, by: edits) + copies).ranges
    }
}
