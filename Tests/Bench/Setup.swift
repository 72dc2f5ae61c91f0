// SPDX-License-Identifier: Apache-2.0

import Guest

/// What all measurements have in common: the guest, its capture kernel, and how each peer loads it.
extension Machine {
    /// Where the capture kernel's initrd lies.
    static let initrd = "/var/lib/bench.initrd"

    /// Boots a guest with the daemon installed, and kdump-tools configured, with an initrd of its size.
    static func bench(
        _ kernel: Kernel, _ image: GuestImage, initrd: Int = Bench.initrd,
        adjust: (inout MachineSettings) -> Void = { _ in }
    ) throws -> Machine {
        var settings = MachineSettings(kernel, payload: Machine.payload(for: kernel.platform))
        settings.memory += 512
        adjust(&settings)
        let guest = try Machine.boot(settings, image)
        try guest.installDaemon()
        // Random bytes behind the real one: an initrd may have anything there.
        try guest.expect(
            "(cat \(GuestImage.captureInitrd); head -c \(initrd)M /dev/urandom) >\(Self.initrd)")
        if kernel.platform == .pc {
            // Without that word, which Debian's line lacks, the daemon would have to reload once.
            try guest.loadCrashKernelByKdumpTools(adding: "acpi_no_memhotplug")
            try guest.expect(
                """
                cp \(Self.initrd) /var/lib/kdump/initrd.img-$(uname -r)
                kdump-config reload
                """)
        }
        try guest.configureBench(patches: true)
        try guest.startTracing()
        return guest
    }

    /// Writes the daemon's settings, as they are by default but for what it reloads from.
    func configureBench(patches: Bool) throws {
        try configureDaemon(initrd: Self.initrd, patches: patches)
    }

    /// Loads the crash kernel by kexec-tools, by the system call of the option `call`.
    func kexec(_ call: String) throws {
        try expect(
            """
            kexec \(call) -p \(captureKernel) --initrd=\(Self.initrd) \
            --command-line='\(captureCommandLine)'
            """)
    }
}
