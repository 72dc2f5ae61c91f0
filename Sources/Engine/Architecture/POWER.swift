// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Architecture {
    /// 64-bit little-endian POWER.
    ///
    /// A core header lists the first 64 KiB as a backup and not as RAM, and in addition what the
    /// firmware keeps in reserved memory (arch/powerpc/kexec/ranges.c, `get_crash_memory_ranges`).
    /// kexec-tools' purgatory checks the digest; the kernel's has room for one and never checks it
    /// (arch/powerpc/purgatory/trampoline_64.S). A kernel file is an ELF64 little-endian vmlinux
    /// (arch/powerpc/kexec/elf_64.c). A patch changes the device tree as well. The kernel's own pages have
    /// the size that the running kernel was built with, 4 or 64 KiB, and are two.
    package static let power = power(pageSize: UInt64(max(4096, sysconf(CInt(_SC_PAGESIZE)))))

    /// The same for a kernel with pages of `pageSize` bytes.
    static func power(pageSize: UInt64) -> Architecture {
        Architecture(
            name: "ppc64le", number: 21,
            ramOutsideDumps: AddressRanges([AddressRange(start: 0, end: 64 << 10)]),
            listedReserve: .anything, digestCheck: .onlyInImages(of: .program),
            imagesAreFoundByContents: true,
            bootData: { segment, kcore throws(Unknowable) in
                try .tree(in: segment, of: kcore) { tree, start in
                    POWERDeviceTree(tree: tree).bootData(at: start)
                }
            },
            treeFlaw: { POWERFirmware.flaw(of: $0, below: $1) },
            kernelNeeds: { bytes in
                guard bytes.word(at: 0) == 0x464C_457F, bytes.half(at: 4) == 0x0102,
                    bytes.half(at: 18) == 21
                else { return nil }
                return KernelFormat.Needs(memory: 0, commandLineLimit: nil)
            },
            patching: Patching(
                pageSize: pageSize, controlBytes: { _ in 2 * pageSize },
                draft: { context throws(PatchObstacle) in try POWERPatch.draft(context) },
                leftOut: { roles, covered, hole in
                    POWERPatch.leftOut(roles, covered: covered, in: hole, pageSize: pageSize)
                },
                written: { listed, hole in
                    ControlPages.written(beside: listed, in: hole, pageSize: pageSize)
                },
                firmware: { POWERFirmware.describe(below: $0) }))
    }
}
