// SPDX-License-Identifier: Apache-2.0

/// Debian's own way to a crash kernel: the package kdump-tools, which is installed in every guest.
///
/// Its udev rule is in force, and does what it does on every Debian: it asks udevd to reload the crash
/// kernel, which udevd forbids. Its service is disabled, so that no guest loads anything by itself.
extension Machine {
    /// Loads the crash kernel by `kdump-config load`, configured as Debian ships it.
    ///
    /// Debian 12 loads by `kexec_load`. Its command line for the capture kernel lacks
    /// `acpi_no_memhotplug`; `words` are appended to it. Nothing may be loaded yet.
    package func loadCrashKernelByKdumpTools(adding words: String = "") throws(GuestError) {
        if !words.isEmpty {
            try expect(
                """
                sed -i 's/^#*\\(KDUMP_CMDLINE_APPEND="[^"]*\\)"/\\1 \(words)"/' \
                /etc/default/kdump-tools && grep -q '^KDUMP_CMDLINE_APPEND=' /etc/default/kdump-tools
                """)
        }
        // With the second file the first counts as made for the present settings, and is not made
        // anew.
        try expect(
            """
            cp \(GuestImage.captureInitrd) /var/lib/kdump/initrd.img-$(uname -r) &&
            cp /etc/kdump/sysctl.conf /var/lib/kdump/latest_sysctls-$(uname -r) &&
            kdump-config load
            """)
    }

    /// How often kdump-tools' udev rule has failed to reload the crash kernel so far.
    package func failedRuleReloads() throws(GuestError) -> Int {
        let lines = try expect(
            """
            journalctl --sync
            journalctl -t kdump-config --no-pager | grep -c 'failed to unload kdump kernel' || true
            """)
        guard let count = Int(lines) else { throw .garbled("journal: \(lines)") }
        return count
    }
}
