// SPDX-License-Identifier: Apache-2.0

/// The memory that `crashkernel=` has reserved, from the one of two places where a kernel tells it.
///
/// Most list it in `/proc/iomem`. Where the device tree tells it (`export_crashk_values`), `/proc/iomem`
/// does not. It only reads.
enum ReservedMemory {
    private static let folder = "/proc/device-tree/chosen/linux,crashkernel-"

    /// Returns the reserved ranges of the machine below `root` whose memory map is `map`.
    ///
    /// - Throws: A `SystemError` if the device tree is there and cannot be read.
    static func ranges(
        of map: MemoryMap, below root: SystemRoot
    ) throws(SystemError) -> Fact<[AddressRange]> {
        guard map.reserved.isEmpty else { return .known(map.reserved) }
        guard let base = try root.bytesIfPresent(of: folder + "base"),
            let size = try root.bytesIfPresent(of: folder + "size")
        else { return .known([]) }
        guard base.count == 8, size.count == 8, let start = base.bigEndianDouble(at: 0),
            let count = size.bigEndianDouble(at: 0), count > 0, start <= UInt64.max - count
        else {
            return .unknown(
                because: "what the device tree says of reserved memory is no place in memory")
        }
        return .known([AddressRange(start: start, end: start + count)])
    }
}
