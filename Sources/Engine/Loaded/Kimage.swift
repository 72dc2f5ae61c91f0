// SPDX-License-Identifier: Apache-2.0

/// The loaded crash image as the kernel lists it: `struct kimage`.
///
/// It is read without the kexec lock, which a panic needs, so two readings must agree. After a
/// patch it lists only the segments of the patch: more is resident than it says.
package struct Kimage: Hashable {
    /// A segment in the kernel's list.
    package struct Segment: Hashable {
        /// Its physical addresses.
        package let range: AddressRange
        /// How many bytes of it were copied there; zeros follow.
        package let bufferSize: UInt64
    }

    /// The system call that loaded an image.
    package enum Loader: String, Codable {
        /// The kernel made the image: `kexec_file_load`.
        case kernel = "kexec_file_load"
        /// A program made it, and the kernel only copied: `kexec_load`.
        case program = "kexec_load"
    }

    /// The kernel's address of the structure; `nil` where it was not read through the pointer to it.
    private(set) var address: UInt64?
    /// Where the crash jumps to: purgatory.
    package let entry: UInt64
    /// The segments that are listed, in the kernel's order.
    package let segments: [Segment]
    /// The kernel's own pages are below this address.
    package let controlPage: UInt64
    /// What loaded the image; `nil` if the kernel does not say.
    package let loader: Loader?
    /// Whether the kernel updates the core header itself after a hotplug; `nil` if it has no such
    /// feature.
    package let kernelKeepsUp: Bool?

    /// Whether it is no list of the kernel's, but what was found in reserved memory; then it may be the
    /// remains of another image, until its digest says otherwise.
    private(set) var isFoundByContents = false

    /// KEXEC_TYPE_CRASH of include/linux/kexec.h.
    private static let crash: UInt64 = 1

    /// Decodes the structure at the start of `bytes`.
    ///
    /// - Throws: Why it does not describe a crash image inside `reserved`.
    init(_ bytes: [UInt8], laidOut layout: Layout, within reserved: AddressRanges)
        throws(Unknowable)
    {
        guard let entry = layout.entry.value(in: bytes),
            let count = layout.segmentCount.value(in: bytes),
            let controlPage = layout.controlPage.value(in: bytes),
            layout.type.value(in: bytes) == Kimage.crash,
            1...UInt64(max(1, layout.segments.capacity)) ~= count
        else {
            throw Unknowable("kexec_crash_image does not point to a crash image")
        }
        var segments: [Segment] = []
        for index in 0..<Int(count) {
            let start = layout.segments.offset + index * layout.segments.stride
            let bytes = Array(bytes[min(start, bytes.count)...])
            guard let segment = Segment(bytes, laidOut: layout.segments) else {
                throw Unknowable("the crash image lists an invalid segment")
            }
            segments.append(segment)
        }
        let listed = AddressRanges(segments.map(\.range))
        guard listed.subtracting(reserved).isEmpty else {
            throw Unknowable("the crash image has segments outside reserved memory")
        }
        self.entry = entry
        self.segments = segments
        self.controlPage = controlPage
        let isFromFiles = layout.isFromFiles?.value(in: bytes).map { $0 == 1 }
        loader = isFromFiles.map { $0 ? .kernel : .program }
        if let supported = layout.hotplugSupport?.value(in: bytes) {
            kernelKeepsUp = supported == 1
        } else if let updated = layout.headerUpdate?.value(in: bytes) {
            // 6.6 to 6.9 (kernel/crash_core.c, crash_check_update_elfcorehdr). It is here and not
            // in Architecture because it is the same code on all of them: what differs is the
            // kernel's version, which the fields of the structure tell.
            kernelKeepsUp = updated == 1 || isFromFiles == true
        } else {
            kernelKeepsUp = nil
        }
    }
}

extension Kimage {
    /// What a program has loaded whose parts were found by what they hold.
    init(foundByContents parts: [AddressRange], entry: UInt64, controlPage: UInt64) {
        self.entry = entry
        self.controlPage = controlPage
        segments = parts.map { Segment(range: $0, bufferSize: $0.byteCount) }
        loader = .program
        // Kernels with this feature tell their types.
        kernelKeepsUp = nil
        isFoundByContents = true
    }
}

extension Kimage.Segment {
    /// Decodes the `struct kexec_segment` at the start of `bytes`, or returns `nil` if it is
    /// invalid.
    fileprivate init?(_ bytes: [UInt8], laidOut layout: Kimage.Layout.SegmentLayout) {
        guard let start = layout.address.value(in: bytes),
            let size = layout.memorySize.value(in: bytes),
            let bufferSize = layout.bufferSize.value(in: bytes), size > 0, bufferSize <= size,
            start <= UInt64.max - size
        else { return nil }
        range = AddressRange(start: start, end: start + size)
        self.bufferSize = bufferSize
    }
}

extension Kimage {
    /// Reads the loaded image from `kcore`, or returns `nil` if none is loaded.
    ///
    /// - Throws: Why it cannot be read.
    static func loaded(
        in kcore: Kcore, laidOut layout: KernelLayout, within reserved: AddressRanges
    ) throws(Unknowable) -> Kimage? {
        guard let list = layout.image, let pointer = layout.pointer else {
            return try DeviceTreeImage.find(in: kcore, within: reserved)
        }
        let first = try bytes(in: kcore, at: pointer, laidOut: list)
        let second = try bytes(in: kcore, at: pointer, laidOut: list)
        guard first?.address == second?.address, first?.bytes == second?.bytes else {
            throw Kimage.replaced
        }
        guard let first else { return nil }
        var kimage = try Kimage(first.bytes, laidOut: list, within: reserved)
        kimage.address = first.address
        return kimage
    }

    /// The error of an image that was replaced while it was read.
    static let replaced = Unknowable(
        "the crash image keeps changing: another program is loading it", mayPass: true)

    /// The structure's address and its bytes; `nil` if the pointer to it is null.
    private static func bytes(
        in kcore: Kcore, at pointer: UInt64, laidOut layout: Layout
    ) throws(Unknowable) -> (address: UInt64, bytes: [UInt8])? {
        let pointer = try kcore.bytes(8, atVirtual: pointer)
        guard let address = pointer.double(at: 0), address != 0 else { return nil }
        return (address, try kcore.bytes(layout.byteCount, atVirtual: address))
    }
}
