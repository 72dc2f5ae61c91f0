// SPDX-License-Identifier: Apache-2.0

/// The memory that `crashkernel=` has reserved, from the one of two places where a kernel tells it.
///
/// Most list it in `/proc/iomem`. Where the device tree tells it (`export_crashk_values`), `/proc/iomem`
/// does not. It only reads.
enum ReservedMemory {
    private static let folder = "/proc/device-tree/chosen/linux,crashkernel-"

    /// Returns the reserved ranges of the machine below `root` whose memory map is `map`.
    static func ranges(of map: MemoryMap, below root: SystemRoot) -> Fact<[AddressRange]> {
        guard map.reserved.isEmpty else { return .known(map.reserved) }
        do throws(SystemError) {
            guard let base = try bytes("base", below: root),
                let size = try bytes("size", below: root)
            else { return .known([]) }
            guard base.count == 8, size.count == 8, let start = base.bigEndianDouble(at: 0),
                let count = size.bigEndianDouble(at: 0), count > 0, start <= UInt64.max - count
            else {
                return .unknown(
                    because: "what the device tree says of reserved memory is no place in memory")
            }
            return .known([AddressRange(start: start, end: start + count)])
        } catch {
            return .unknown(because: "\(error)")
        }
    }

    /// Reads a property of the device tree, or returns `nil` if it has none of that name.
    private static func bytes(
        _ name: String, below root: SystemRoot
    ) throws(SystemError) -> [UInt8]? {
        do throws(SystemError) {
            return try root.bytes(of: folder + name)
        } catch  where error.isAbsence {
            return nil
        }
    }
}
