// SPDX-License-Identifier: Apache-2.0

/// Something that a patch writes into the resident image.
///
/// Producers make edits from an image and a machine, each for one part of the image: the core
/// header, the digest. Which producers there are is the architecture's to say; the digest's comes
/// last, because it follows from what the others change. What must be listed beside the edits is
/// `SegmentPlan`'s to find out.
struct Edit: Equatable {
    /// The physical addresses; zeros follow `bytes` up to the end.
    let range: AddressRange
    /// What is written.
    let bytes: [UInt8]
    /// Whether the range is listed as a segment of its own; otherwise the pages around it are listed
    /// as they are, and only `bytes` change in them.
    let isSegment: Bool
    /// The part of the image that it changes, where the digest covers that; `nil` where it does not.
    let underDigest: AddressRange?

    /// What edits are made from.
    struct Context {
        /// The image as it is.
        let image: ResidentImage
        /// The machine as it is.
        let live: LiveSystem
        /// Where its CPUs leave their registers.
        let notes: ProcessorNotes
        /// RAM that no core header needs to list.
        let ramOutsideDumps: AddressRanges
        /// The kernel's page size in bytes.
        let pageSize: UInt64
    }
}
