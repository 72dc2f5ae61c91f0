// SPDX-License-Identifier: Apache-2.0

/// What is in reserved memory and would run after a crash right now.
package struct ResidentImage: Equatable {
    /// What a part of the image is for.
    package enum Role: String, Codable {
        /// The core header.
        case coreHeader
        /// The code between the two kernels.
        case purgatory
        /// What the loader has prepared for the capture kernel, with the command line: boot
        /// parameters, or a device tree.
        case bootParameters
        /// The capture kernel.
        case kernel
        /// Its initrd.
        case initrd
        /// Room for a copy of the first memory, which is made at the crash.
        case backup
        /// The keys of an encrypted dump target.
        case targetKeys
        /// Anything else.
        case other
    }

    /// A part of the image in reserved memory.
    package struct Part: Hashable {
        /// Its physical addresses.
        package let range: AddressRange
        /// What it is for.
        package let role: Role
        /// Whether the kernel lists it as a segment; after a patch it lists only those of the
        /// patch.
        package let isListed: Bool
    }

    /// The core header and its place.
    package struct Header: Hashable {
        /// All of the room that it has.
        package let range: AddressRange
        /// Its contents.
        package let core: CoreHeader
    }

    /// Whether the image is known to be intact.
    package enum Integrity: Hashable {
        /// The digest was computed and is the one in purgatory.
        case verified
        /// It is not: purgatory would hang, and a crash would leave no dump.
        case mismatch
        /// The image has no digest.
        case none
        /// It was not or could not be computed; why.
        case unknown(because: String)
    }

    /// What the kernel lists.
    package let kimage: Kimage
    /// Everything that is resident, by address.
    package let parts: [Part]
    /// The core header.
    package let header: Header
    /// Where the digest is, if purgatory has one.
    package let digest: PurgatoryDigest?
    /// Whether the image is whole.
    package let integrity: Integrity
    /// The capture kernel's command line.
    package let commandLine: Fact<String>
    /// What tells it from others.
    package let identity: ImageIdentity
    /// Which files it was made of; `nil` if that is not known.
    package var origin: ImageOrigin?
    /// The CPUs on which the capture kernel can boot, as the firmware numbers them; `nil` if it can
    /// boot on any.
    package var bootProcessors: NumberSet?
    /// What a patch changes, with the page that the kernel will write.
    var edited: [AddressRange] = []
    /// The device tree that the loader has prepared; `nil` if there is none.
    var tree: DeviceTree?
    /// What is resident, where the image itself tells.
    var residence: Residence?
    /// Where the running kernel is, if the core header is wrong about that and must be made anew; `nil`
    /// if it can be kept.
    var mapping: KernelMapping?
    /// Why the capture kernel would not come up, if a patch can cure it; `nil` if it would.
    package var flaw: String?

    /// Who made the image; after a patch `struct kimage` only tells who loaded the patch.
    ///
    /// The kernel puts its `elfcorehdr=` first (`setup_cmdline`), kexec-tools puts it last
    /// (`cmdline_add_elfcorehdr`).
    package var maker: Kimage.Loader? {
        if let residence { return residence.maker }
        return commandLine.value.map { line in
            let first = KernelParameters(line).parameters.first
            return first?.name == ResidentCommandLine.coreHeader ? .kernel : .program
        } ?? kimage.loader
    }

    /// Whether it holds the keys of an encrypted dump target; `nil` where nobody knows.
    package var holdsTargetKeys: Bool? {
        commandLine.value.map(ResidentCommandLine.namesTargetKeys)
    }

    /// Whether the kernel hides those keys from everybody who reads its memory.
    ///
    /// It unmaps them in an image that `kexec_file_load` has loaded with them, and no longer after a
    /// patch, whose `struct kimage` knows of no keys (machine_kexec_64.c, `kexec_mark_dm_crypt_keys`).
    var hidesTargetKeys: Bool {
        kimage.loader != .program && parts.contains { $0.role == .targetKeys }
    }

    /// Whether the digest covers the core header, so that changing one needs changing the other.
    package var digestCoversHeader: Bool {
        digest?.regions.contains { $0.overlaps(header.range) } ?? false
    }

    /// Whether the digest covers anything that a patch changes, so that the first one needs its value.
    var digestCoversEdits: Bool {
        digest?.regions.contains { region in edited.contains { $0.overlaps(region) } } ?? false
    }

    /// The same image, with more known of its digest.
    func with(
        _ digest: PurgatoryDigest?, _ integrity: Integrity, parts: [Part]? = nil
    ) -> ResidentImage {
        var image = ResidentImage(
            kimage: kimage, parts: parts ?? self.parts, header: header, digest: digest,
            integrity: integrity, commandLine: commandLine, identity: identity, origin: origin,
            bootProcessors: bootProcessors)
        (image.edited, image.tree, image.flaw) = (edited, tree, flaw)
        (image.residence, image.mapping) = (residence, mapping)
        return image
    }
}
