// SPDX-License-Identifier: Apache-2.0

/// What of an image is in reserved memory, where the image itself tells; the kernel lists less
/// after a patch.
///
/// How an image tells is an architecture's business. Where none does, what is resident follows from
/// the list and from the table of the digest alone.
struct Residence: Hashable {
    /// Who made the image, whoever has loaded parts of it since.
    let maker: Kimage.Loader
    /// The code between the two kernels; `nil` if a crash jumps into the capture kernel.
    let code: AddressRange?
    /// The capture kernel with its variables.
    let kernel: AddressRange
    /// Its device tree.
    let tree: AddressRange
    /// Its initrd; `nil` if there is none.
    let initrd: AddressRange?
    /// A page of the capture kernel that nothing uses, and that the running kernel has written;
    /// `nil` if it has written elsewhere.
    var landing: AddressRange?
    /// Why the image cannot work any more; `nil` if nothing is known against it.
    var damage: String?

    /// What must stay as it is, but for the code and the core header.
    var parts: [AddressRange] {
        let unused = AddressRanges(landing.map { [$0] } ?? [])
        return AddressRanges([kernel]).subtracting(unused).ranges + [tree]
            + (initrd.map { [$0] } ?? [])
    }

    /// What tells this image from others: its code, or the beginning of its kernel.
    var mark: AddressRange {
        code
            ?? AddressRange(start: kernel.start, end: kernel.start + Architecture.smallestPage)
    }

    /// What a range is for, if it is in a part of the image.
    func role(of range: AddressRange) -> ResidentImage.Role? {
        let roles: [(AddressRange?, ResidentImage.Role)] = [
            (kernel, .kernel), (tree, .bootParameters), (initrd, .initrd), (code, .purgatory),
        ]
        return roles.first { part, _ in part.map { $0.overlaps(range) } ?? false }?.1
    }
}
