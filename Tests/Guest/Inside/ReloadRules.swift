// SPDX-License-Identifier: Apache-2.0

/// The udev rules of distributions that reload the crash kernel, set up as their authors meant them.
///
/// They are who the daemon is compared with. In guests kdump-tools' own rule is in force from the
/// start, and fails: see KdumpTools.swift.
extension Machine {
    /// Takes kdump-tools' rule out of force.
    package func maskDebiansRule() throws(GuestError) {
        try expect(
            """
            mkdir -p /run/udev/rules.d
            ln -sf /dev/null /run/udev/rules.d/50-kdump-tools.rules; udevadm control --reload
            """)
    }

    /// Lets kdump-tools' rule do what it is written for.
    ///
    /// systemd-udevd's filter of system calls forbids its children to load anything.
    package func letDebiansRuleLoad() throws(GuestError) {
        try expect(
            """
            mkdir -p /run/systemd/system/systemd-udevd.service.d
            printf '[Service]\\nSystemCallFilter=@reboot\\n' \
            >/run/systemd/system/systemd-udevd.service.d/kexec.conf
            systemctl daemon-reload && systemctl restart systemd-udevd
            """)
    }

    /// The chain that Fedora and RHEL document: each event asks systemd whether the service is active
    /// and starts a unit; the first unit waits one second and up to three more for udev to settle, the
    /// others end at once; then the image is unloaded and loaded by the kernel's loader, with `initrd`.
    ///
    /// The real one does more in shell between unloading and loading; this model is kinder than it.
    package func installFedoraModel(initrd: String) throws(GuestError) {
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
            kexec -p -u && kexec -s -p /boot/vmlinuz-$(uname -r) --initrd=\(initrd) \
            --command-line='\(Machine.captureCommandLine)'
            END
            chmod +x /run/chain
            cat >/run/udev/rules.d/98-chain.rules <<'END'
            SUBSYSTEM=="memory", ACTION=="online|offline", RUN+="/bin/sh -c 'systemctl -q is-active systemd-journald || exit 0; systemd-run --quiet --no-block /run/chain'"
            SUBSYSTEM=="cpu", ACTION=="add|remove", RUN+="/bin/sh -c 'systemctl -q is-active systemd-journald || exit 0; systemd-run --quiet --no-block /run/chain'"
            END
            udevadm control --reload
            """)
    }
}
