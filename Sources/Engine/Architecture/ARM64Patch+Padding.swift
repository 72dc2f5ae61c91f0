// SPDX-License-Identifier: Apache-2.0

/// The padding before the code of a capture kernel on arm64, into which the running kernel may write.
extension ARM64Patch {
    /// The pages of a kernel that lie all in the padding before its code, behind the page with its
    /// header.
    static func unusedPages(of kernel: AddressRange, pageSize: UInt64) -> AddressRanges {
        AddressRanges([
            AddressRange(
                start: kernel.start + pageSize,
                end: min(kernel.start + ARM64Image.padding, kernel.end))
        ])
    }

    /// Whether a page of that padding is what it should be: instructions that do nothing, zeros, or
    /// an earlier copy of vmcoreinfo.
    static func isUnused(_ page: [UInt8]) -> Bool {
        if page.starts(with: "OSRELEASE=".utf8) { return true }
        return stride(from: 0, to: page.count, by: 4).allSatisfy { place in
            page.word(at: place).map { $0 == 0 || $0 == ARM64Image.nothing } ?? false
        }
    }

    /// What the first patch of an image takes out of its digest beside the core header: the device
    /// tree, and the page of padding into which the kernel will write.
    static func leftOut(
        _ roles: Roles, covered: [AddressRange], in hole: AddressRange, pageSize: UInt64
    ) -> [AddressRange] {
        guard let residence = roles.residence else { return [] }
        let page = AddressRange(start: hole.start + pageSize, end: hole.start + 2 * pageSize)
        let isHit =
            residence.kernel.start == hole.start && covered.contains(residence.kernel)
            && unusedPages(of: residence.kernel, pageSize: pageSize).contains(page)
        return [residence.tree] + (isHit ? [page] : [])
    }
}
