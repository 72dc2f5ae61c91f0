// SPDX-License-Identifier: Apache-2.0

/// Keys of an encrypted dump target in a guest of ``Kernel/keys``: they are in the image and, as after
/// `kdumpctl start`, nowhere else.
///
/// No target is encrypted here. What counts is whether the capture kernel can read the key, and it says
/// so on the console (image/capture-keys-init).
extension Machine {
    /// The description of the key, as image/capture-keys-init has it.
    private static let key = "kdump:target"
    /// The initramfs of the capture kernel.
    private static let initrd = "/boot/keys.initramfs"
    private static let folder = "/sys/kernel/config/crash_dm_crypt_keys"

    /// Loads a crash image by `kexec -s`, with a key that has this payload, or with none, and configures
    /// the daemon for the same files.
    package func loadCrashKernel(withKey payload: String?) throws(GuestError) {
        try configureDaemon(initrd: Self.initrd)
        if let payload {
            try expect(
                """
                mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
                keyring add \(Self.key) \(payload) && mkdir \(Self.folder)/target &&
                printf \(Self.key) >\(Self.folder)/target/description
                """)
        }
        try expect(
            """
            kexec -s -p /boot/vmlinuz-$(uname -r) --initrd=\(Self.initrd) \
            --command-line='\(Self.captureCommandLine)'
            """)
        if payload != nil {
            try expect("rmdir \(Self.folder)/target && keyring remove \(Self.key)")
        }
    }

    /// Whether the kernel would put the keys of the image in place into the next one, if asked to.
    package func wouldReuseKeys() throws(GuestError) -> Bool {
        try run("echo 1 >\(Self.folder)/reuse && echo 0 >\(Self.folder)/reuse").status == 0
    }

    /// Whether the capture kernel, which has run, could read a key with this payload.
    package func captureKernelHad(_ payload: String) -> Bool {
        console.contains("keyring: \(Self.key) holds \(payload)")
    }
}
