// SPDX-License-Identifier: Apache-2.0

/// What each part of an image is for, as far as it is known.
struct Roles {
    /// The core header.
    let header: ResidentImage.Header
    /// Where purgatory is.
    let purgatory: AddressRange
    /// Where the boot data is, if there is any.
    let bootData: AddressRange?
    /// The address of the initrd, by the boot data.
    let initrd: UInt64?
    /// The address of the keys of an encrypted dump target, by the command line.
    var targetKeys: UInt64?
    /// What is resident, where the image itself tells.
    var residence: Residence?

    /// Returns all parts of an image by address: those that the kernel lists, those that only the
    /// digest's table lists, purgatory, and those that the image itself tells.
    func parts(listed: [AddressRange], covered: [AddressRange]) -> [ResidentImage.Part] {
        var ranges = listed
        // A patch may list single pages of a part, or none.
        for range in covered + [purgatory] + (residence?.parts ?? []) {
            ranges += AddressRanges([range]).subtracting(AddressRanges(ranges)).ranges
        }
        let rest = ranges.filter { known($0) == nil }
        let kernel = rest.max { $0.byteCount < $1.byteCount }
        return ranges.sorted { $0.start < $1.start }.map { range in
            ResidentImage.Part(
                range: range,
                role: known(range) ?? (range == kernel ? .kernel : .other),
                isListed: listed.contains(range))
        }
    }

    private func known(_ range: AddressRange) -> ResidentImage.Role? {
        if range == header.range { return .coreHeader }
        if let role = residence?.role(of: range) { return role }
        if purgatory.overlaps(range) { return .purgatory }
        if range == bootData { return .bootParameters }
        if let initrd, range.holds(initrd) { return .initrd }
        if range.start == targetKeys { return .targetKeys }
        let isBackup = header.core.entries.contains { entry in
            entry.kind == .memory && entry.offset != entry.physical && entry.offset == range.start
        }
        return isBackup ? .backup : nil
    }
}

extension AddressRange {
    /// Whether the ranges have an address in common.
    func overlaps(_ other: AddressRange) -> Bool { start < other.end && other.start < end }
}
