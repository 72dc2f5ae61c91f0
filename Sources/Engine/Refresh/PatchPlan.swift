// SPDX-License-Identifier: Apache-2.0

/// A patch on paper: what to write where, for an image and a machine that were seen; pure.
///
/// What bars a patch is found here, before any memory is read for it.
struct PatchPlan: Equatable {
    /// The new core header.
    let header: CoreHeader
    /// What is listed.
    let segments: SegmentPlan
    /// What changes in purgatory; `nil` where nothing has to.
    let digest: PurgatoryDigestPlan?
    /// The image that is patched.
    let image: ResidentImage

    /// Plans a patch of the image that was seen, so that it describes the machine that was seen.
    ///
    /// - Throws: The first obstacle found.
    init(for seen: Observation, notes: Fact<ProcessorNotes>) throws(PatchObstacle) {
        try PatchPlan.refuseWhatTheMachineForbids(seen)
        let image = try PatchPlan.image(seen)
        guard case .known(let reserved) = seen.reserved,
            let hole = reserved.first(where: { $0.holds(image.kimage.entry) })
        else { throw .imageNotUnderstood(because: "its entry lies outside reserved memory") }
        let live: LiveSystem
        switch seen.live {
        case .known(let system): live = system
        case .unknown(let reason): throw .machineNotKnown(because: reason)
        }
        switch notes {
        case .known(let notes):
            header = try HeaderPlan(old: image.header.core, live: live, notes: notes).header()
        case .unknown(let reason): throw .machineNotKnown(because: reason)
        }
        digest = try PurgatoryDigestPlan.plan(for: image)
        segments = try SegmentPlan(
            for: image, headerSize: UInt64(header.byteCount), changing: digest?.pages ?? [],
            in: hole, on: live)
        self.image = image
    }

    private static func refuseWhatTheMachineForbids(_ seen: Observation) throws(PatchObstacle) {
        guard seen.architecture == .x86 else { throw .architecture(seen.architecture) }
        if seen.support.lockdown != .none { throw .lockedDown }
        if seen.support.loadingDisabled { throw .loadingDisabled }
        if seen.support.loadsLeft == 0 { throw .noLoadsLeft }
    }

    private static func image(_ seen: Observation) throws(PatchObstacle) -> ResidentImage {
        switch seen.finding {
        case .known(.image(let image)):
            let words = image.commandLine.value?.split(separator: " ") ?? []
            if words.contains(where: { $0.hasPrefix("dmcryptkeys=") }) { throw .encryptedTarget }
            return image
        case .known(.nothing): throw .imageNotUnderstood(because: "nothing is loaded")
        case .known(.broken(let reason)), .unknown(let reason):
            throw .imageNotUnderstood(because: reason)
        }
    }

    /// All of the image but its core header, in as few pieces as possible.
    var rest: [AddressRange] {
        AddressRanges(
            image.parts.filter { $0.role != .coreHeader }.map(\.range) + segments.copies
        ).ranges
    }
}
