// SPDX-License-Identifier: Apache-2.0

/// Memory that ACPI can add while the machine runs, or has.
package struct HotplugMemory: Hashable, Codable {
    /// Whether the machine has places for such memory.
    package let isPossible: Bool
    /// Whether there is memory in one of them.
    package let isPresent: Bool
}
