// SPDX-License-Identifier: Apache-2.0

/// A kernel that guests can run, by the name it has in `image/kernels`.
///
/// Each stands for one behaviour of the crash kernel's hotplug handling, not for a version: which
/// build it is, is what apt offers today. The underscores are the dots of version numbers.
package struct Kernel: Hashable, Sendable, CustomStringConvertible {
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// As 6.1, and the oldest that is tried: Debian 11's.
    package static let v5_10 = Kernel(description: "5.10")
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// The kernel never touches a loaded crash image.
    package static let v6_1 = Kernel(description: "6.1")
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// The kernel rewrites the core header itself after an addition (`crash_hotplug` is 1).
    package static let v6_12 = Kernel(description: "6.12")
    /// The newest there is for Debian stable; it rewrites the core header itself, as 6.12 does.
    package static let v7 = Kernel(description: "7")

    /// As 7, and `kexec_file_load` puts the keys of an encrypted dump target into the image.
    package static let keys = Kernel(description: "keys", isBuilt: true)

    /// All that Debian's supported releases have.
    package static let all = [v6_1, v6_12, v7]

    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// POWER with pages of 64 KiB, and neither BTF nor all symbols: images are found by value.
    package static let power6_1 = Kernel(description: "power-6.1", platform: .pseries)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// POWER with pages of 4 KiB; the kernel keeps images up that are loaded with `--hotplug`.
    package static let power6_12 = Kernel(description: "power-6.12", platform: .pseries)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// The same with pages of 64 KiB.
    package static let power6_12_64k = Kernel(description: "power-6.12-64k", platform: .pseries)
    /// The newest there is, with pages of 4 KiB.
    package static let power7 = Kernel(description: "power-7", platform: .pseries)

    /// All on POWER.
    package static let power = [power6_1, power6_12, power6_12_64k, power7]

    /// As power-6.12, with `kexec_file_load` and fadump; the kernel never touches a loaded image.
    package static let powerFile = Kernel(
        description: "power-file", platform: .pseries, isBuilt: true)
    /// The same, and the kernel keeps up what it has loaded from files.
    package static let powerFileHotplug = Kernel(
        description: "power-file-hotplug", platform: .pseries, isBuilt: true)

    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// An arm64 kernel that hides a loaded image from everyone, and writes none of its symbols' addresses.
    package static let arm6_1 = Kernel(description: "arm64-6.1", platform: .virt)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// An arm64 kernel with pages of 4 KiB, which never touches a loaded image, as none does there.
    package static let arm6_12 = Kernel(description: "arm64-6.12", platform: .virt)
    // swift-format-ignore: AlwaysUseLowerCamelCase
    /// The same with pages of 16 KiB, and without hotplug of memory.
    package static let arm6_12_16k = Kernel(description: "arm64-6.12-16k", platform: .virt)
    /// The newest there is, with pages of 4 KiB.
    package static let arm7 = Kernel(description: "arm64-7", platform: .virt)

    /// As arm64-6.12, with `kexec_file_load`.
    package static let armFile = Kernel(
        description: "arm64-file", platform: .virt, isBuilt: true)

    /// All on arm64.
    package static let arm = [arm6_1, arm6_12, arm6_12_16k, arm7]

    package let description: String
    /// The machine that it runs on.
    package let platform: Platform
    /// Whether it is built for its guests, because Debian has none like it; see
    /// GuestImage.withBuiltKernels(of:).
    package let isBuilt: Bool

    private init(description: String, platform: Platform = .pc, isBuilt: Bool = false) {
        (self.description, self.platform, self.isBuilt) = (description, platform, isBuilt)
    }
}
