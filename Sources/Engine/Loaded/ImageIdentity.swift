// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What tells one load of a crash image from another.
///
/// What the kernel lists does not: a load of the same files puts the same parts in the same places,
/// and its `struct kimage` is often the memory that the last one's has just left. What the loader
/// wrote into purgatory does: that has the digest of the image, which differs as soon as anything
/// does that a digest covers. So an observation that lasts ends with a look at these.
package struct ImageIdentity: Hashable {
    /// What the kernel lists, with the place of its `struct kimage`.
    let kimage: Kimage
    /// The physical address of the bytes.
    let place: UInt64
    /// What lay in and around purgatory.
    let bytes: [UInt8]

    /// Whether this image is still the one that is loaded.
    ///
    /// - Throws: Why memory cannot be read.
    func isLoaded(
        in kcore: Kcore, laidOut layout: KernelLayout, within reserved: AddressRanges
    ) throws(Unknowable) -> Bool {
        guard try Kimage.loaded(in: kcore, laidOut: layout, within: reserved) == kimage else {
            return false
        }
        let now = try kcore.bytes(bytes.count, at: place)
        // The corresponding C function is memcmp: comparing arrays takes as long as reading them.
        return unsafe memcmp(now, bytes, bytes.count) == 0
    }
}
