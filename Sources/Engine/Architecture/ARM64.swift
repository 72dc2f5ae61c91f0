// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Architecture {
    /// 64-bit Arm.
    ///
    /// kexec-tools' purgatory checks a digest; the kernel's own loader makes neither. A kernel file
    /// has "ARM\x64" at offset 56 and the memory it needs, in bytes, at 16
    /// (Documentation/arch/arm64/booting.rst). An image tells where its parts are, by its entry and
    /// its device tree. The kernel's own pages have the size that the running kernel was built
    /// with, 4, 16 or 64 KiB, and are two. Core headers are doubted: kexec-tools' are wrong on some
    /// kernels.
    package static let arm64 = arm64(pageSize: UInt64(max(4096, sysconf(CInt(_SC_PAGESIZE)))))

    /// The same for a kernel with pages of `pageSize` bytes.
    static func arm64(pageSize: UInt64) -> Architecture {
        var patching = Patching(
            pageSize: pageSize, controlBytes: { _ in 2 * pageSize },
            draft: { context throws(PatchObstacle) in try ARM64Patch.draft(context) })
        patching.leftOut = { roles, covered, hole in
            ARM64Patch.leftOut(roles, covered: covered, in: hole, pageSize: pageSize)
        }
        patching.written = { listed, hole in
            ControlPages.written(beside: listed, in: hole, pageSize: pageSize)
        }
        patching.isUnused = { ARM64Patch.isUnused($0) }
        var architecture = Architecture(
            name: "aarch64", number: 183, digestCheck: .onlyInImages(of: .program),
            kernelNeeds: { bytes in
                guard bytes.word(at: 56) == 0x644D_5241 else { return nil }
                return KernelFormat.Needs(memory: bytes.double(at: 16) ?? 0, commandLineLimit: nil)
            },
            patching: patching)
        architecture.headersAreDoubted = true
        architecture.wholeImage = { files, place throws(PatchObstacle) in
            try ARM64Load.parts(of: files, in: place)
        }
        architecture.pointersAreFoundByValue = true
        architecture.bootData = { segment, kcore throws(Unknowable) in
            try .tree(in: segment, of: kcore) { tree, start in
                ARM64DeviceTree(tree: tree).bootData(at: start)
            }
        }
        architecture.residence = { kimage, kcore, reserved throws(Unknowable) in
            try ARM64Residence.find(kimage, within: reserved, pageSize: pageSize) {
                count, address throws(Unknowable) in try kcore.bytes(count, at: address)
            }
        }
        return architecture
    }
}
