// SPDX-License-Identifier: Apache-2.0

/// What a patch changes in a device tree on more than one architecture; pure.
extension DeviceTree {
    /// Reserves all of a part of the image, which may have been moved or have been reserved in part.
    ///
    /// kexec-tools reserves as much as a core header has at first, and not what it may grow to
    /// (crashdump-ppc64.c): the capture kernel takes the rest for itself.
    mutating func reserve(_ range: AddressRange, insteadOf old: AddressRange) {
        reservations.removeAll { old.start <= $0.start && $0.end <= old.end }
        guard !AddressRanges(reservations).contains(range) else { return }
        reservations.append(range)
    }
}

extension DeviceTree.Node {
    /// Gives a property a value, whether it is there or not.
    mutating func put(_ name: String, _ value: [UInt8]) {
        if self[name] == nil { properties.append(DeviceTree.Property(name: name, value: [])) }
        set(name, to: value)
    }

    /// Gives a property that there is another value.
    mutating func set(_ name: String, to value: [UInt8]) {
        guard let index = properties.firstIndex(where: { $0.name == name }) else { return }
        properties[index] = DeviceTree.Property(name: name, value: value)
    }
}
