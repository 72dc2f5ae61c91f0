// SPDX-License-Identifier: Apache-2.0

/// What the running kernel says of crash kernels: is one loaded, may one be loaded, who keeps it up.
///
/// Everything here is read without taking the kexec lock. The one file that takes it,
/// `crash_hotplug`, is read by `keepsUp(below:)` alone, because a panic in that instant loses its
/// dump (kernel/crash_core.c, `__crash_kexec`). `kexec_crash_size` takes it too and is never read.
package struct KernelSupport: Equatable {
    /// Whether a crash kernel is loaded; `nil` where the kernel has no kexec at all.
    package var isLoaded: Bool?
    /// Whether `kernel.kexec_load_disabled` forbids any further load until the next boot.
    package var loadingDisabled = false
    /// How many more crash kernel loads `kernel.kexec_load_limit_panic` allows; `nil` is unlimited.
    package var loadsLeft: Int?
    /// The kernel's lockdown level.
    package var lockdown = Lockdown.none
    /// Whether a kernel to reboot into is loaded beside the crash kernel.
    package var isRebootPrepared = false
    /// What the firmware does at a crash; `nil` where it leaves the crash to a crash kernel.
    package var firmwareDump: FirmwareDump?

    /// How firmware-assisted dump (fadump) stands, which takes the place of a crash kernel
    /// (firmware-assisted-dump.rst of the kernel's documentation).
    package enum FirmwareDump: String, Equatable, Codable {
        /// The firmware keeps memory at a crash and boots the machine again.
        case registered
        /// Memory is reserved for that, and the kdump service has not asked the firmware for it.
        case unregistered
    }

    /// How far the kernel defends itself against root (kernel_lockdown(7)).
    package enum Lockdown: String, Equatable, Codable {
        /// Not at all.
        case none
        /// No unsigned crash kernel, no `kexec_load`.
        case integrity
        /// The same, and no reading of kernel memory.
        case confidentiality
    }
}

extension KernelSupport {
    /// Asks the kernel below `root`.
    ///
    /// - Throws: A `SystemError` where a file exists but cannot be read.
    package init(of root: SystemRoot) throws(SystemError) {
        // The name in the folder kexec came about 6.19; the other is to go "after 2028".
        let loaded =
            try root.line(
                of: "/sys/kernel/kexec/crash_loaded", "/sys/kernel/kexec_crash_loaded")
        self.init(isLoaded: loaded.map { $0 == "1" })
        isRebootPrepared =
            try root.line(of: "/sys/kernel/kexec/loaded", "/sys/kernel/kexec_loaded") == "1"
        loadingDisabled = try root.line(of: "/proc/sys/kernel/kexec_load_disabled") == "1"
        loadsLeft = try root.line(of: "/proc/sys/kernel/kexec_load_limit_panic")
            .flatMap { Int($0) }
            .flatMap { $0 < 0 ? nil : $0 }
        firmwareDump = try KernelSupport.firmwareDump(below: root)
        // "none [integrity] confidentiality": the level in force stands in brackets.
        lockdown =
            try root.line(of: "/sys/kernel/security/lockdown")?
            .split(separator: " ")
            .first { $0.hasPrefix("[") }
            .flatMap { Lockdown(rawValue: String($0.dropFirst().dropLast())) } ?? .none
    }

    /// Asks for firmware-assisted dump; the names without a folder are those of kernels before 5.6.
    private static func firmwareDump(below root: SystemRoot) throws(SystemError) -> FirmwareDump? {
        let enabled = try root.line(of: "/sys/kernel/fadump/enabled", "/sys/kernel/fadump_enabled")
        guard enabled == "1" else { return nil }
        let registered = try root.line(
            of: "/sys/kernel/fadump/registered", "/sys/kernel/fadump_registered")
        return registered == "1" ? .registered : .unregistered
    }

    /// Whether the kernel keeps the loaded image up with hotplug by itself; takes the kexec lock.
    ///
    /// `false` is ambiguous: nothing loaded, an image it will not touch, or the lock was held for an
    /// instant; so a `false` is asked for once more, later, before it is believed. `nil` is certain:
    /// this kernel has no such feature. Both subsystems answer alike (kernel/crash_core.c,
    /// `crash_check_hotplug_support`), so one is asked.
    /// - Throws: A `SystemError` where the file exists but cannot be read.
    package static func keepsUp(below root: SystemRoot) throws(SystemError) -> Bool? {
        let answer = try root.line(
            of: "/sys/devices/system/memory/crash_hotplug",
            "/sys/devices/system/cpu/crash_hotplug")
        return answer.map { $0 == "1" }
    }
}
