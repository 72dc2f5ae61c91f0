// SPDX-License-Identifier: Apache-2.0

/// The kind of machine that a guest is, with a processor of its own.
///
/// What a test says of a guest means the same on all of them; how QEMU is told, and what Linux calls
/// things there, is in the file of each.
package enum Platform: Hashable, Sendable {
    /// An x86_64 PC.
    case pc
    /// A partition of a POWER server, with radix MMU, as PowerVM and KVM have them.
    case pseries
    /// An arm64 server with ACPI.
    case virt

    var machine: any EmulatedMachine.Type {
        switch self {
        case .pc: PC.self
        case .pseries: Pseries.self
        case .virt: Virt.self
        }
    }
}

/// What the tests must know of a kind of machine.
protocol EmulatedMachine {
    /// The script of `image` that makes disks and kernels for it, and its arguments.
    static var script: [String] { get }
    /// The script of `image` that builds kernels for it which Debian does not have, and its arguments
    /// before the places of what that one has made.
    static var kernelScript: [String] { get }
    /// What the Debian name of its architecture adds to the place of the payload.
    static var payloadSuffix: String { get }
    /// What the kernel calls its console.
    static var console: String { get }
    /// Words of the kernel's command line that only this machine needs.
    static var kernelWords: [String] { get }
    /// The running kernel's own file, as the guest's shell finds it.
    static var kernelFile: String { get }
    /// What a capture kernel needs on its command line.
    static var captureCommandLine: String { get }
    /// What Debian's command line for a capture kernel lacks here.
    static var captureNeeds: String { get }

    /// The memory at boot in MiB, and what is reserved of it.
    static var memory: (megabytes: Int, crashkernel: String) { get }
    /// The physical address of the first of it.
    static var memoryStart: UInt64 { get }

    /// Whether the firmware keeps data in reserved memory, which every dump then has.
    static var reserveHasFirmware: Bool { get }
    /// The CPU that each capture kernel can boot on; `nil` where that is any.
    static var processorOfEveryImage: Int? { get }
    /// The file with the CPUs that leave their registers at a crash.
    static var processorsOfDumps: String { get }

    /// Commands for the last moment before a guest is saved and the first after it goes on; empty for none.
    static var sleep: (before: String, after: String) { get }

    /// QEMU's arguments that say what machine it is.
    static func arguments(_ settings: MachineSettings, _ image: GuestImage) -> [String]
    /// What QEMU must know to plug in a thread of a core: the arguments of `device_add`.
    static func processor(core: Int, thread: Int) -> [String: Any]
    /// The memory reserved for the crash kernel, by what the kernel of a running guest says.
    static func reservedMemory(of guest: Machine) throws(GuestError) -> [Range<UInt64>]
}
