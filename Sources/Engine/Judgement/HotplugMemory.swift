// SPDX-License-Identifier: Apache-2.0

/// Memory that ACPI can add, or has added, while the machine runs.
package struct HotplugMemory: Hashable, Codable {
    /// Whether the machine has slots for such memory.
    package let isPossible: Bool
    /// Whether one of them holds memory.
    package let isPresent: Bool
}
