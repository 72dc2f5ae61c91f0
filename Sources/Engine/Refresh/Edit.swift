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
    /// The part of the image that it takes the place of, if it lies elsewhere; `nil` for the one that
    /// begins where it does.
    var replaced: AddressRange?
    /// Whether the part that it takes the place of is moved as it is; then there are no `bytes`.
    var isMove = false

    /// The input of a producer.
    struct Context {
        /// The image as it is.
        let image: ResidentImage
        /// The machine as it is.
        let live: LiveSystem
        /// Where its CPUs save their registers.
        let notes: ProcessorNotes
        /// RAM of which a header keeps what it says.
        let ramOutsideDumps: AddressRanges
        /// The kernel's page size in bytes.
        let pageSize: UInt64
        /// The reserved range that the image is in.
        var hole = AddressRange(start: 0, end: 0)
        /// The architecture's number in ELF files.
        var machine: UInt16 = 0
        /// What the firmware says of the machine, if the architecture asks for it.
        var firmware = Fact<FirmwareDescription>.unknown(because: "the firmware was not asked")
    }
}

/// What an architecture's producers make of an image and a machine.
struct Draft: Equatable {
    /// What is written, but for the digest.
    var edits: [Edit]
    /// What is listed in addition, as it is; `nil` where that only has to keep the kernel's own pages
    /// from parts of the image, which `SegmentPlan` does.
    var copies: AddressRanges?
    /// A page of the image that nothing uses, and into which the kernel will put its copy of
    /// vmcoreinfo.
    var landing: AddressRange?
    /// Where the crash jumps to from now on; `nil` if that does not change.
    var entry: UInt64?

    /// Makes sure that the kernel would take what is listed in `hole`: it drops the image in place before
    /// it looks (kernel/kexec_core.c, `sanity_check_segment_list`).
    ///
    /// - Throws: That it would not.
    func checked(in hole: AddressRange, pageSize: UInt64) throws(PatchObstacle) -> Draft {
        let segments = edits.filter(\.isSegment).map(\.range) + (copies?.ranges ?? [])
        guard segments.count <= SegmentPlan.mostSegments else {
            throw .imageNotUnderstood(
                because: "a patch would list more parts than the kernel takes")
        }
        guard segments.allSatisfy({ $0.start % pageSize == 0 && $0.byteCount % pageSize == 0 }),
            AddressRanges(segments).byteCount == segments.reduce(0, { $0 + $1.byteCount }),
            AddressRanges(segments).subtracting(AddressRanges([hole])).isEmpty
        else { throw .imageNotUnderstood(because: "parts of it are no whole pages") }
        return self
    }
}

extension Edit {
    /// Writes bytes at an address, and leaves what is around them.
    init(of bytes: [UInt8], at address: UInt64) {
        self.init(
            range: AddressRange(start: address, end: address + UInt64(bytes.count)), bytes: bytes,
            isSegment: false, underDigest: nil)
    }
}
