// SPDX-License-Identifier: Apache-2.0

/// How far a kernel keeps root away from itself; see kernel_lockdown(7).
package enum Lockdown: String, Sendable {
    /// Root cannot change the kernel: no `kexec_load`, and only kernels with a signature.
    case integrity
    /// Root cannot read the kernel's memory either: no `/proc/kcore`, no tracing.
    case confidentiality
}

extension Machine {
    /// Locks the running kernel down; until it ends there is no way back.
    ///
    /// A guest that is to have a crash image in lockdown must load it before this. Debian's kernels
    /// are signed, but trust only the key of their own modules; the certificate that their images are
    /// signed with comes from UEFI, which these guests do not have. So every load is refused in
    /// lockdown, and one by `kexec -s` has dropped the loaded image before it is.
    package func lockDown(_ level: Lockdown) throws(GuestError) {
        let file = "/sys/kernel/security/lockdown"
        try expect(
            """
            mountpoint -q /sys/kernel/security ||
            mount -t securityfs securityfs /sys/kernel/security
            echo \(level.rawValue) >\(file) && grep -qF '[\(level.rawValue)]' \(file)
            """)
    }
}
