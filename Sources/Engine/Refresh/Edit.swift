// SPDX-License-Identifier: Apache-2.0

/// Something that a patch writes into the resident image.
///
/// Producers make edits from an image and a machine, each for one part of the image: the core
/// header, the digest. The architecture decides which producers there are. The digest's comes last,
/// because it depends on the other edits. `SegmentPlan` finds out what must be listed in addition.
struct Edit: Equatable {
    /// The physical addresses; zeros follow `bytes` up to the end.
    let range: AddressRange
    /// What is written.
    let bytes: [UInt8]
    /// Whether the range is listed as a segment of its own; otherwise the pages around it are
    /// listed as they are, with only `bytes` changed.
    let isSegment: Bool
    /// The part of the image that it changes, if the digest covers that part; `nil` if not.
    let underDigest: AddressRange?

    /// The input of a producer.
    struct Context {
        /// The image as it is.
        let image: ResidentImage
        /// The machine as it is.
        let live: LiveSystem
        /// Where its CPUs save their registers.
        let notes: ProcessorNotes
        /// RAM that no core header needs to list.
        let ramOutsideDumps: AddressRanges
        /// The kernel's page size in bytes.
        let pageSize: UInt64
    }
}
