// SPDX-License-Identifier: Apache-2.0

import Guest

/// How the directory in /run that the daemon writes to is spoilt, at one step of the daemon.
///
/// strace(1) stops the daemon at the step; a process in the guest spoils the directory meanwhile and
/// lets the daemon go on. Which steps there are says ``FaultPlan``.
enum SpoiltDirectory: String, CaseIterable {
    case full = "/run full"
    case readOnly = "/run read-only"
}

extension Machine {
    /// Spoils the daemon's directory once strace has stopped the daemon, and lets it go on then.
    ///
    /// A file system in which a file is open for writing, as the daemon's lock is, cannot be made
    /// read-only; one that is mounted over it can.
    func spoil(_ directory: SpoiltDirectory) throws(GuestError) {
        let command =
            switch directory {
            case .full: "! dd if=/dev/zero of=/run/kdump-hotplugd/full bs=4k"
            case .readOnly:
                """
                nsenter -m -t $pid mount --bind /run/kdump-hotplugd /run/kdump-hotplugd && \
                touch /run/covered && nsenter -m -t $pid mount -o remount,bind,ro /run/kdump-hotplugd
                """
            }
        try expect(
            """
            cat >/run/spoiling <<'END'
            #!/bin/sh
            pid=$(systemctl show -P MainPID kdump-hotplugd)
            until grep -q 'stopped by SIGSTOP' /run/strace; do sleep 0.05; done
            \(command) && kill -CONT $pid && touch /run/spoilt
            END
            chmod +x /run/spoiling; touch /run/begun
            setsid -f /run/spoiling >/run/spoiling.log 2>&1 </dev/null
            """)
    }

    /// Waits until the daemon goes on in a spoilt directory, or has told all without that step.
    func waitUntilSpoilt() throws(GuestError) {
        try waitUntil(
            """
            { cd /run/kdump-hotplugd && { [ -e /run/spoilt ] || { [ state.json -nt /run/begun ] && \
            grep -q '"verdict":"OK"' state.json; }; } && sleep 1; }
            """)
    }

    /// Ends what spoils the directory, and makes it as it was.
    func makeDirectoryUsable() throws(GuestError) {
        try expect(
            """
            pkill -x spoiling; while pgrep -x spoiling >/dev/null; do sleep 0.05; done
            rm -f /run/kdump-hotplugd/full
            if [ -e /run/covered ]; then
                nsenter -m -t $(systemctl show -P MainPID kdump-hotplugd) umount /run/kdump-hotplugd
                rm /run/covered
            fi
            """)
    }
}
