// SPDX-License-Identifier: Apache-2.0

/// Which files an image was made of, as far as its boot data tells.
///
/// No loader notes the names of its files. But it leaves the sizes in memory, and those of two builds
/// of a kernel are practically never all the same. It says nothing of an image without boot data.
package struct ImageOrigin: Hashable {
    /// The build of the kernel.
    package let build: KernelBuild
    /// The size of the initrd file in bytes; 0 where there is none.
    package let initrdSize: UInt64

    /// Creates an origin from its parts.
    package init(build: KernelBuild, initrdSize: UInt64) {
        self.build = build
        self.initrdSize = initrdSize
    }
}
