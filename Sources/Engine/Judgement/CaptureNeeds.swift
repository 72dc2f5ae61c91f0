// SPDX-License-Identifier: Apache-2.0

/// A parameter that the capture kernel's command line must have on this machine, and why.
///
/// The table holds only what a dump needs because of the machine, not the preferences of a
/// distribution.
package enum CaptureNeed: String, CaseIterable, Codable {
    /// Do not use ACPI's memory devices as RAM.
    ///
    /// Without it the capture kernel finds the DIMMs in ACPI's tables and adds them to its own
    /// memory (drivers/acpi/acpi_memhotplug.c). `/proc/vmcore` then refuses to read them, so their
    /// contents are lost although the core header lists them.
    case leaveHotAddedMemoryAlone = "acpi_no_memhotplug"

    /// The parameter that fulfils it.
    package var parameter: String { rawValue }

    /// Why it is needed: one clause.
    package var reason: String {
        switch self {
        case .leaveHotAddedMemoryAlone:
            "without it the capture kernel uses memory that ACPI describes as its own, and the"
                + " dump loses it"
        }
    }

    /// How urgent it is when it is missing.
    package enum Urgency: Int, Comparable, Codable {
        /// A dump will lose something after a hotplug that is possible.
        case soon
        /// A crash right now loses something.
        case now

        /// `soon` is less than `now`.
        package static func < (left: Urgency, right: Urgency) -> Bool {
            left.rawValue < right.rawValue
        }
    }

    /// Returns how urgent the need is on a machine, or `nil` if it has none.
    package func urgency(on machine: HotplugMemory) -> Urgency? {
        switch self {
        case .leaveHotAddedMemoryAlone:
            machine.isPresent ? .now : machine.isPossible ? .soon : nil
        }
    }

    /// A need that a command line does not fulfil.
    package struct Lack: Hashable, Codable {
        /// What is needed.
        package let need: CaptureNeed
        /// How urgent that is.
        package let urgency: Urgency
    }

    /// Returns what a machine needs and a command line lacks.
    package static func lacking(
        in commandLine: String, on machine: HotplugMemory
    ) -> [Lack] {
        let parameters = Set(KernelParameters(commandLine).parameters.map(\.bare))
        return allCases.compactMap { need in
            guard let urgency = need.urgency(on: machine),
                !parameters.contains(need.parameter)
            else { return nil }
            return Lack(need: need, urgency: urgency)
        }
    }
}
