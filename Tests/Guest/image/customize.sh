#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# customize.sh TREE [system]: makes the tree of a fresh Debian into a test guest: adds the agent, and
# takes away what only costs time at boot. udevd, the journal and systemd itself stay as Debian ships
# them: they are what the tests are about. In a whole "system", kdump-tools stays as well.

set -euo pipefail
root=$1
kind=${2:-}
here=$(dirname "$(readlink -f "$0")")

install -D -m 0755 "$here/agent" "$root/usr/local/sbin/guest-agent"
install -D -m 0644 "$here/guest-agent.service" "$root/etc/systemd/system/guest-agent.service"
install -d "$root/etc/systemd/system/multi-user.target.wants" "$root/payload" "$root/tools"
ln -sf ../guest-agent.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

idle=(
    getty.target serial-getty@ttyS0.service serial-getty@ttyS1.service
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
    e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-debug.mount
    proc-sys-fs-binfmt_misc.automount systemd-binfmt.service
    systemd-ask-password-console.path systemd-ask-password-wall.path
    systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service
    systemd-journal-flush.service systemd-logind.service systemd-machine-id-commit.service
    systemd-modules-load.service systemd-networkd.service systemd-networkd.socket
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-pstore.service
    systemd-random-seed.service systemd-remount-fs.service systemd-sysusers.service
    systemd-tmpfiles-setup-dev.service systemd-timesyncd.service systemd-update-done.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-user-sessions.service
    ldconfig.service modprobe@.service remote-fs.target kexec.service kexec-load.service
)
for unit in "${idle[@]}"; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

if [[ $kind == system ]]; then
    install -D -m 0644 "$here/first-boot.service" "$root/etc/systemd/system/first-boot.service"
    ln -sf ../first-boot.service "$root/etc/systemd/system/multi-user.target.wants/"
else
    ln -sf /dev/null "$root/etc/systemd/system/systemd-udev-trigger.service"
    # It fails, because there is nothing to monitor; only ndctl itself is wanted.
    ln -sf /dev/null "$root/etc/systemd/system/ndctl-monitor.service"
    # Installed as it is, but only a test loads with it; `systemctl start kdump-tools` would, too. Its
    # udev rule stays in force.
    rm "$root/etc/systemd/system/basic.target.wants/kdump-tools.service"
fi

install -d "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' \
    >"$root/etc/systemd/journald.conf.d/guest.conf"
printf '[Manager]\nDefaultTimeoutStopSec=5s\n' >"$root/etc/systemd/system.conf.d/guest.conf"
echo guest >"$root/etc/hostname"
: >"$root/etc/fstab"
# An empty one would be made anew at every boot.
echo 6b64756d700000000000000000000001 >"$root/etc/machine-id"
