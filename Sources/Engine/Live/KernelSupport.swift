// SPDX-License-Identifier: Apache-2.0

/// What the running kernel says about crash kernels: whether one is loaded, and whether one may be.
///
/// Everything here is read without taking the kexec lock. The one file that takes it,
/// `crash_hotplug`, is read by `keepsUp(below:)` alone, because a panic in that instant loses its
/// dump (kernel/crash_core.c, `__crash_kexec`). `kexec_crash_size` takes it too and is never read.
package struct KernelSupport: Equatable {
    /// Whether a crash kernel is loaded; `nil` if the kernel has no kexec at all.
    package var isLoaded: Bool?
    /// Whether `kernel.kexec_load_disabled` forbids any further load until the next boot.
    package var loadingDisabled = false
    /// How many more crash kernel loads `kernel.kexec_load_limit_panic` allows; `nil` is unlimited.
    package var loadsLeft: Int?
    /// The kernel's lockdown level.
    package var lockdown = Lockdown.none
    /// Whether IMA has been given rules since the boot, as far as the kernel shows that.
    package var hasAddedRules = false
    /// Whether a kernel to reboot into is loaded as well.
    package var isRebootPrepared = false
    /// Whether `kernel.kexec_load_limit_reboot` counts the loads of such kernels.
    package var rebootLoadsAreCounted = false
    /// What the firmware does at a crash; `nil` if it leaves the crash to a crash kernel.
    package var firmwareDump: FirmwareDump?

    /// The state of firmware-assisted dump (fadump), which takes the place of a crash kernel
    /// (firmware-assisted-dump.rst of the kernel's documentation).
    package enum FirmwareDump: String, Equatable, Codable {
        /// The firmware keeps memory at a crash and boots the machine again.
        case registered
        /// Memory is reserved for that, and the kdump service has not asked the firmware for it.
        case unregistered
    }

    /// How far the kernel protects itself from root (kernel_lockdown(7)).
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
    /// - Throws: A `SystemError` if a file exists but cannot be read.
    package init(of root: SystemRoot) throws(SystemError) {
        self.init(isLoaded: try KernelSupport.isLoaded(below: root))
        isRebootPrepared =
            try root.line(of: "/sys/kernel/kexec/loaded", "/sys/kernel/kexec_loaded") == "1"
        loadingDisabled = try root.line(of: "/proc/sys/kernel/kexec_load_disabled") == "1"
        loadsLeft = try KernelSupport.limit("kexec_load_limit_panic", of: root)
        rebootLoadsAreCounted =
            try KernelSupport.limit("kexec_load_limit_reboot", of: root) != nil
        firmwareDump = try KernelSupport.firmwareDump(below: root)
        // "none [integrity] confidentiality": the level in force stands in brackets.
        lockdown =
            try root.line(of: "/sys/kernel/security/lockdown")?
            .split(separator: " ")
            .first { $0.hasPrefix("[") }
            .flatMap { Lockdown(rawValue: String($0.dropFirst().dropLast())) } ?? .none
        // The file goes away when they are in force, unless the kernel was built to take more or to show
        // them (security/integrity/ima/ima_fs.c, ima_release_policy).
        let rules = "/sys/kernel/security/ima"
        hasAddedRules = root.has(rules) && !root.has(rules + "/policy")
    }

    /// Asks the kernel below `root` whether a crash kernel is loaded; `nil` if it has no kexec at all.
    ///
    /// - Throws: A `SystemError` if the file exists but cannot be read.
    static func isLoaded(below root: SystemRoot) throws(SystemError) -> Bool? {
        // The file in the folder kexec came in about 6.19; the other is to be removed "after 2028".
        try root.line(of: "/sys/kernel/kexec/crash_loaded", "/sys/kernel/kexec_crash_loaded")
            .map { $0 == "1" }
    }

    /// A limit of the kernel's; `nil` if it is unlimited, which the kernel writes as -1.
    private static func limit(
        _ name: String, of root: SystemRoot
    ) throws(SystemError) -> Int? {
        try root.line(of: "/proc/sys/kernel/\(name)")
            .flatMap { Int($0) }
            .flatMap { $0 < 0 ? nil : $0 }
    }

    /// Reads the state of firmware-assisted dump; the names without a folder are those of kernels
    /// before 5.6.
    private static func firmwareDump(below root: SystemRoot) throws(SystemError) -> FirmwareDump? {
        let enabled = try root.line(of: "/sys/kernel/fadump/enabled", "/sys/kernel/fadump_enabled")
        guard enabled == "1" else { return nil }
        let registered = try root.line(
            of: "/sys/kernel/fadump/registered", "/sys/kernel/fadump_registered")
        return registered == "1" ? .registered : .unregistered
    }

    /// Whether the kernel updates the loaded image itself after a hotplug; takes the kexec lock.
    ///
    /// `false` is ambiguous: nothing is loaded, or the kernel does not touch this image, or the
    /// lock was held at that moment. So the caller asks again later before it believes a `false`.
    /// `nil` is certain: this kernel has no such feature. Both files give the same answer
    /// (kernel/crash_core.c, `crash_check_hotplug_support`).
    /// - Throws: A `SystemError` if the file exists but cannot be read.
    package static func keepsUp(below root: SystemRoot) throws(SystemError) -> Bool? {
        let answer = try root.line(
            of: "/sys/devices/system/memory/crash_hotplug",
            "/sys/devices/system/cpu/crash_hotplug")
        return answer.map { $0 == "1" }
    }
}
