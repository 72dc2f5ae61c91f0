// SPDX-License-Identifier: Apache-2.0

import Guest

/// Who follows a storm of events, each set up as its authors meant it.
enum Way: String, CaseIterable {
    /// Nobody: what the events themselves cost.
    case nobody = "nobody"
    case ours = "kdump-hotplugd"
    /// The build of the daemon that KDUMP_HOTPLUGD_BEFORE names.
    case before = "kdump-hotplugd before"
    /// kdump-tools' own rule, with systemd-udevd allowed to load; as shipped it does nothing at all.
    case debian = "Debian's rule let through"
    /// A model of the chain that Fedora and RHEL document; see ``fedoraRule``.
    case fedora = "model of the RHEL chain"
    /// The kernel's own update of an image that its own loader loaded, since 6.6.
    case kernel = "the kernel by itself"

    /// How many seconds it may take after the last memory is online; then it is cut off.
    ///
    /// The chain of RHEL ends within that; Debian's rule, with two seconds or more for each of hundreds
    /// of events, would go on for half an hour.
    static let patience = 240

    /// Who there is to compare on a kernel.
    ///
    /// If the kernel updates an image itself, the rule of Fedora and RHEL does nothing.
    static func all(on kernel: Kernel) -> [Way] {
        [.nobody] + daemons
            + (kernel == .v6_1 ? [.fedora, .debian] : [.kernel, .debian])
    }

    /// The daemon, and if another build is to be compared, that too.
    static var daemons: [Way] { Versions.before == nil ? [.ours] : [.before, .ours] }
}

extension Machine {
    /// Makes `way` follow what happens from now on, and nobody else.
    func follow(_ way: Way) throws {
        if way != .debian {
            try expect(
                """
                mkdir -p /run/udev/rules.d
                ln -sf /dev/null /run/udev/rules.d/50-kdump-tools.rules; udevadm control --reload
                """)
        }
        switch way {
        case .nobody: break
        case .ours: try startDaemon()
        case .before: try startOtherDaemon()
        case .debian: try allowUdevToLoad()
        case .fedora: try installFedoraModel()
        case .kernel: try kexec("-s")
        }
        try expect("udevadm settle; sleep 1")
    }

    /// systemd-udevd's filter of system calls forbids its children to load anything.
    private func allowUdevToLoad() throws {
        try expect(
            """
            mkdir -p /run/systemd/system/systemd-udevd.service.d
            printf '[Service]\\nSystemCallFilter=@reboot\\n' \
            >/run/systemd/system/systemd-udevd.service.d/kexec.conf
            systemctl daemon-reload && systemctl restart systemd-udevd
            """)
    }

    /// The documented chain: each event asks systemd whether the service is active and starts a unit;
    /// the first unit waits one second and up to three more for udev to settle, the others end at
    /// once; then the image is unloaded and loaded by the kernel's loader.
    ///
    /// The real one does more in shell between unloading and loading; this model is kinder than it.
    private func installFedoraModel() throws {
        try expect(
            """
            cat >/run/chain <<'END'
            #!/bin/bash
            exec 9>/run/chain.turn
            flock -n 9 || exit 0
            sleep 1
            udevadm settle --timeout 3
            exec 9>&-
            exec 8>/run/chain.load
            flock 8
            kexec -p -u && kexec -s -p /boot/vmlinuz-$(uname -r) --initrd=\(Self.initrd) \
            --command-line='\(Machine.captureCommandLine)'
            END
            chmod +x /run/chain
            cat >/run/udev/rules.d/98-chain.rules <<'END'
            SUBSYSTEM=="memory", ACTION=="online|offline", RUN+="/bin/sh -c 'systemctl -q is-active systemd-journald || exit 0; systemd-run --quiet --no-block /run/chain'"
            END
            udevadm control --reload
            """)
    }
}
