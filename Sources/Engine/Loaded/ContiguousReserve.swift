// SPDX-License-Identifier: Apache-2.0

/// The ranges of `crashkernel=…,cma` as the kernel itself has them (kernel/crash_reserve.c).
///
/// They are RAM that no core header may list, because the capture kernel uses it as its own. Kernels
/// 6.17 and 6.18 have such ranges and no file that tells them. This reads the variables behind that
/// file. It guesses nothing from an image: one that was patched before may list them wrongly.
enum ContiguousReserve {
    /// More than any kernel has (CRASHKERNEL_CMA_RANGES_MAX is 4), and few enough to read.
    private static let most: UInt32 = 64

    /// Reads the ranges from the kernel's memory; a kernel that knows no such ranges has none.
    ///
    /// - Throws: Why they cannot be known.
    static func ranges(below root: SystemRoot) throws(Unknowable) -> AddressRanges {
        guard let count = try KernelSymbols.find("crashk_cma_cnt", below: root) else {
            // A kernel that lists its other variables has none of this name.
            _ = try KernelSymbols.address(of: "kexec_crash_image", below: root)
            return AddressRanges()
        }
        let place = try KernelSymbols.address(of: "crashk_cma_ranges", below: root)
        return try Tries.settled { () throws(Unknowable) in
            try Kcore.observe(below: root) { kcore throws(Unknowable) in
                try ranges(at: place, count: kcore.bytes(4, atVirtual: count), in: kcore)
            }
        }
    }

    /// Decodes an array of `struct range`: the first and the last address of each.
    private static func ranges(
        at place: UInt64, count: [UInt8], in kcore: Kcore
    ) throws(Unknowable) -> AddressRanges {
        let strange = Unknowable(
            "the kernel's list of the ranges of crashkernel=…,cma is not understood")
        guard let count = count.word(at: 0), count <= most else { throw strange }
        let bytes = try kcore.bytes(Int(count) * 16, atVirtual: place)
        let ranges = try stride(from: 0, to: bytes.count, by: 16).map { offset throws(Unknowable) in
            guard let start = bytes.double(at: offset), let last = bytes.double(at: offset + 8),
                start <= last, last < .max
            else { throw strange }
            return AddressRange(start: start, end: last + 1)
        }
        return AddressRanges(ranges)
    }
}
