// SPDX-License-Identifier: Apache-2.0

/// Reading the boot data of an image that has a device tree.
extension Architecture.BootData {
    /// The largest tree that is read, in bytes: one with 4096 CPUs has 3 MB.
    private static let largestTree = 16 << 20

    /// Reads the device tree in `segment`, and has it understood; `nil` if there is none.
    ///
    /// - Throws: Why memory cannot be read.
    static func tree(
        in segment: Architecture.Segment, of kcore: Kcore,
        understood: (_ tree: DeviceTree, _ start: UInt64) -> Architecture.BootData
    ) throws(Unknowable) -> Architecture.BootData? {
        guard let size = DeviceTree.byteCount(prefix: segment.head) else { return nil }
        guard size <= largestTree, UInt64(size) <= segment.range.byteCount else {
            return unusable(because: "its device tree is larger than its place")
        }
        let bytes = try kcore.bytes(size, at: segment.range.start)
        do throws(DeviceTree.Flaw) {
            return understood(try DeviceTree(bytes), segment.range.start)
        } catch {
            return unusable(because: "its device tree is damaged")
        }
    }

    /// What no capture kernel can use.
    static func unusable(because flaw: String) -> Architecture.BootData {
        Architecture.BootData(commandLine: 0, longestCommandLine: 0, initrd: 0, flaw: flaw)
    }
}
