// SPDX-License-Identifier: Apache-2.0

/// Finds `kexec_crash_image`, the pointer to the loaded image, where the kernel does not list it by
/// name (kernels without CONFIG_KALLSYMS_ALL), by what it points to.
///
/// It is a pointer in the kernel's own variables to RAM which holds a `struct kimage`, laid out as
/// the kernel's types say, of a crash image in reserved memory. There is one while an image is
/// loaded; if another one looks like that, nothing is found. It reads some MB, once a boot.
struct KimagePointer {
    private let kcore: Kcore
    private let mapping: KernelMapping
    private let layout: Kimage.Layout
    private let reserved: AddressRanges

    /// The structure has more than 512 bytes, so the kernel allocates it at a multiple of those
    /// (mm/slab_common.c, `create_kmalloc_caches`: sizes that are powers of two are aligned so).
    private static let alignment: UInt64 = 512
    /// How many objects are looked at, of which a kernel has some thousand, and how often.
    private static let most = (objects: 1 << 16, tries: 3)

    /// Finds its virtual address on the machine below `root`.
    ///
    /// - Throws: Why it cannot be known.
    static func find(
        below root: SystemRoot, laidOut layout: Kimage.Layout, within reserved: AddressRanges
    ) throws(Unknowable) -> UInt64 {
        let variables = try variables(below: root)
        // It takes long, so it is not repeated as often as a look.
        var tries = Tries()
        for _ in 1..<most.tries {
            do throws(Unknowable) {
                return try find(among: variables, below: root, laidOut: layout, within: reserved)
            } catch {
                guard error.mayPass, tries.again() else { throw error }
            }
        }
        do throws(Unknowable) {
            return try find(among: variables, below: root, laidOut: layout, within: reserved)
        } catch {
            throw Unknowable(error.reason)
        }
    }

    private static func find(
        among variables: AddressRange?, below root: SystemRoot, laidOut layout: Kimage.Layout,
        within reserved: AddressRanges
    ) throws(Unknowable) -> UInt64 {
        try Kcore.observe(below: root) { kcore throws(Unknowable) in
            guard let mapping = kcore.mapping else {
                throw Unknowable(
                    "/proc/kallsyms does not list kexec_crash_image (CONFIG_KALLSYMS_ALL is not"
                        + " set), and /proc/kcore does not tell where the kernel is")
            }
            return try KimagePointer(
                kcore: kcore, mapping: mapping, layout: layout, reserved: reserved
            ).find(among: variables ?? mapping.text.range)
        }
    }

    /// The physical addresses of the kernel's variables (`Kernel data` in /proc/iomem); `nil` if it
    /// does not say.
    private static func variables(below root: SystemRoot) throws(Unknowable) -> AddressRange? {
        let text = try Unknowable.ifFailed { () throws(SystemError) in
            try root.text(of: SystemRoot.iomem)
        }
        return text.split(separator: "\n").first { $0.hasSuffix(" : Kernel data") }
            .flatMap { $0.split(separator: " ").first }.flatMap { MemoryMap.addressSpan($0) }
    }

    private func find(among variables: AddressRange) throws(Unknowable) -> UInt64 {
        let range = AddressRanges([variables]).intersection(AddressRanges([mapping.text.range]))
        var candidates: [UInt64: [UInt64]] = [:]
        for part in range.ranges {
            var place = part.start
            try kcore.forEachPart(of: part) { bytes in
                collect(from: bytes, at: place, into: &candidates)
                place += UInt64(bytes.count)
            }
        }
        var found: [UInt64] = []
        for (target, pointers) in candidates where try isImage(at: target) { found += pointers }
        guard let pointer = found.first, found.count == 1 else {
            throw Unknowable(
                "/proc/kallsyms does not list kexec_crash_image (CONFIG_KALLSYMS_ALL is not set),"
                    + " and \(found.isEmpty ? "no" : "more than one") variable looks like it",
                mayPass: true)
        }
        return pointer &+ (mapping.text.virtual &- mapping.text.physical)
    }

    /// Notes what may be a pointer to such a structure, by the address that it has.
    private func collect(
        from bytes: [UInt8], at start: UInt64, into candidates: inout [UInt64: [UInt64]]
    ) {
        for place in stride(from: 0, to: bytes.count, by: 8) {
            guard let value = bytes.double(at: place), value % KimagePointer.alignment == 0 else {
                continue
            }
            let physical = value &- mapping.directMap
            let (end, overflow) = physical.addingReportingOverflow(UInt64(layout.byteCount))
            guard !overflow, candidates.count < KimagePointer.most.objects,
                mapping.ram.contains(AddressRange(start: physical, end: end))
            else { continue }
            candidates[value, default: []].append(start + UInt64(place))
        }
    }

    /// Whether what lies at a virtual address describes a crash image.
    private func isImage(at address: UInt64) throws(Unknowable) -> Bool {
        let bytes = try kcore.bytes(layout.byteCount, atVirtual: address)
        guard let image = try? Kimage(bytes, laidOut: layout, within: reserved) else {
            return false
        }
        return reserved.ranges.contains { $0.holds(image.entry) }
    }
}
