// SPDX-License-Identifier: Apache-2.0

/// Asking the machine for memory that ACPI can add, or has added.
extension HotplugMemory {
    private static let folder = "/sys/bus/acpi/devices"
    /// ACPI's name for a memory device (ACPI 6.5, 5.6.7).
    private static let memoryDevice = "PNP0C80:"

    /// Asks the kernel below `root`; a machine without ACPI has no such memory.
    ///
    /// - Throws: A `SystemError` if a device is there but cannot be read.
    package init(of root: SystemRoot) throws(SystemError) {
        let devices = HotplugMemory.devices(below: root)
        var isPresent = false
        for device in devices where !isPresent {
            // The value of _STA in decimal; bit 0 means "present".
            let status = try root.line(of: "\(HotplugMemory.folder)/\(device)/status")
            isPresent = status.flatMap { UInt64($0) }.map { $0 & 1 == 1 } ?? false
        }
        self.init(isPossible: !devices.isEmpty, isPresent: isPresent)
    }

    private static func devices(below root: SystemRoot) -> [String] {
        root.names(in: folder).filter { $0.hasPrefix(memoryDevice) }
    }
}
