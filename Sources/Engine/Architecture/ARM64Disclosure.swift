// SPDX-License-Identifier: Apache-2.0

/// How an image can be made readable on arm64, where kernels before 6.4 unmap what is listed; pure,
/// but for what it reads.
///
/// The page that is loaded for it jumps to purgatory, so it can be made without having read the
/// image. What it costs is the page that the kernel writes for itself at such a load: it falls on
/// the padding of the capture kernel, and until a patch has taken that page out of the digest,
/// purgatory hangs. So this is done only where nothing else is known, and a patch must follow.
struct ARM64Disclosure {
    private let kimage: Kimage
    private let hole: AddressRange
    private let pageSize: UInt64
    private let read: (_ count: Int, _ address: UInt64) throws(Unknowable) -> [UInt8]

    /// Plans it for an image that a kernel with pages of `pageSize` bytes hides in `hole`; `nil` if
    /// it is not certain that the loads harm nothing.
    ///
    /// - Throws: Why memory cannot be read.
    static func plan(
        _ kimage: Kimage, in hole: AddressRange, pageSize: UInt64,
        read: @escaping (_ count: Int, _ address: UInt64) throws(Unknowable) -> [UInt8]
    ) throws(Unknowable) -> Disclosure? {
        let plan = ARM64Disclosure(kimage: kimage, hole: hole, pageSize: pageSize, read: read)
        // One of `kexec_file_load` begins with the kernel, and where its tree is nobody can see.
        guard kimage.loader == .program,
            let purgatory = plan.listed.first(where: { $0.holds(kimage.entry) })
        else { return nil }
        // Not `??`: it would widen the type of the error.
        if let fresh = plan.forFreshImage(purgatory) { return fresh }
        return try plan.forPatchedImage(purgatory)
    }

    /// The same page once more, for an image that was made readable before; `nil` if it was not.
    static func again(_ residence: Residence) -> Disclosure? {
        guard let gate = residence.gate, let purgatory = residence.code else { return nil }
        let record = ARM64Trampoline(target: residence.entry, purgatory: purgatory)
        return Disclosure(pages: [gate], bytes: record.bytes)
    }

    private var listed: [AddressRange] {
        kimage.segments.map(\.range).sorted { $0.start < $1.start }
    }

    /// Plans it for an image of which all is listed: what is free is known, and the kernel is the
    /// lowest part (kexec-tools' `arm64_locate_kernel_segment`).
    private func forFreshImage(_ purgatory: AddressRange) -> Disclosure? {
        guard let kernel = listed.first, kernel.start == hole.start, kernel != purgatory,
            kernel.byteCount > ARM64Image.padding
        else { return nil }
        var places = FreePlaces(besides: AddressRanges(listed), in: hole)
        let room = try? places.take(
            2 * pageSize, alignedTo: pageSize, fromTop: true, for: "its entry")
        guard let room else { return nil }
        let pages = [room.start, room.start + pageSize].map {
            AddressRange(start: $0, end: $0 + pageSize)
        }
        let unused = ARM64Patch.unusedPages(of: kernel, pageSize: pageSize)
        for page in pages {
            guard let note = note(beside: page), unused.contains(note) else { return nil }
        }
        return Disclosure(pages: pages, bytes: record(of: purgatory).bytes)
    }

    /// Plans it for an image of which a patch has just been loaded: the pages of the last time are
    /// still there, and now both can be read.
    private func forPatchedImage(_ purgatory: AddressRange) throws(Unknowable) -> Disclosure? {
        let bytes = record(of: purgatory).bytes
        var place = hole.end / pageSize * pageSize
        while place >= hole.start + 2 * pageSize {
            place -= pageSize
            guard try read(bytes.count, place) == bytes,
                try read(bytes.count, place - pageSize) == bytes
            else { continue }
            let page = AddressRange(start: place, end: place + pageSize)
            guard !listed.contains(where: { $0.overlaps(page) }), let note = note(beside: page),
                !listed.contains(where: { $0.overlaps(note) })
            else { return nil }
            return Disclosure(pages: [page], bytes: bytes)
        }
        return nil
    }

    private func record(of purgatory: AddressRange) -> ARM64Trampoline {
        ARM64Trampoline(target: kimage.entry, purgatory: purgatory)
    }

    private func note(beside page: AddressRange) -> AddressRange? {
        ControlPages(beside: AddressRanges([page]), in: hole, pageSize: pageSize)?.note
    }
}
