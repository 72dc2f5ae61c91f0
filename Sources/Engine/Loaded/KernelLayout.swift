// SPDX-License-Identifier: Apache-2.0

/// What must be known of the running kernel to find its crash image in memory.
///
/// It is read from the kernel itself and not tabulated by version. Finding it means reading some 10
/// MB, and it is valid until the next boot, so keep it that long.
package struct KernelLayout: Hashable, Codable {
    /// The address of `kexec_crash_image`, the pointer to the loaded image; `nil` if the image is found
    /// by what it holds.
    let pointer: UInt64?
    /// The layout of `struct kimage`; `nil` in the same case.
    let image: Kimage.Layout?

    /// The most type information that is read, in bytes; kernels of today have 4 to 8 MiB.
    private static let largestBTF = 64 << 20

    /// Asks the kernel below `root`, which need not answer if images on its architecture can be found by
    /// what they hold.
    ///
    /// Whoever changes an image must know whether the kernel does, too, and without the layout only the
    /// absence of that feature tells.
    ///
    /// The image that is loaded lies in `reserved`.
    /// - Throws: Why it cannot be known.
    package init(
        of root: SystemRoot, on architecture: Architecture = .current,
        within reserved: AddressRanges = AddressRanges()
    ) throws(Unknowable) {
        if architecture.imagesAreFoundByContents,
            !root.has("/sys/devices/system/memory/crash_hotplug"),
            !root.has("/sys/devices/system/cpu/crash_hotplug"),
            try !KernelLayout.isTold(below: root)
        {
            (image, pointer) = (nil, nil)
            return
        }
        let image = try KernelLayout.image(below: root)
        self.image = image
        let name = "kexec_crash_image"
        guard architecture.pointersAreFoundByValue else {
            pointer = try KernelSymbols.address(of: name, below: root)
            return
        }
        if let listed = try KernelSymbols.find(name, below: root) {
            pointer = listed
        } else {
            pointer = try KimagePointer.find(below: root, laidOut: image, within: reserved)
        }
    }

    /// Whether the kernel tells its types and its variables.
    private static func isTold(below root: SystemRoot) throws(Unknowable) -> Bool {
        guard root.has("/sys/kernel/btf/vmlinux") else { return false }
        return try KernelSymbols.find("kexec_crash_image", below: root) != nil
    }

    private static func image(below root: SystemRoot) throws(Unknowable) -> Kimage.Layout {
        let path = "/sys/kernel/btf/vmlinux"
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try KernelFile(path, below: root).contents(atMost: largestBTF)
        } catch {
            guard error.errno == KernelFile.notThere else { throw Unknowable("\(error)") }
            throw Unknowable("there is no \(path): CONFIG_DEBUG_INFO_BTF is not set")
        }
        do throws(BTF.Flaw) {
            let types = try BTF(btf: bytes)
            guard let image = Kimage.Layout(in: types) else {
                throw BTF.Flaw(
                    description: "describes a struct kimage that is not supported")
            }
            return image
        } catch {
            throw Unknowable("\(path) \(error.description)")
        }
    }
}
