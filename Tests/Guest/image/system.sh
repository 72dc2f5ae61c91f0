#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# system.sh SUITE: makes a whole Debian of that suite, with its own kernel, initrd and kdump-tools, all
# configured as the packages do, for tests of what happens on one. It lies in SUITE-KEY/ as root.ext4,
# NAME/vmlinuz and NAME/initramfs, where NAME is the kernel's major and minor version, and has been
# booted once: kdump-tools makes its initrd for what it finds in the machine, which takes it a minute.
#
# Prints its progress, then the line "root DIRECTORY".

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
from=$1
packages=(systemd systemd-sysv udev kmod apt procps util-linux mount linux-image-cloud-amd64
    initramfs-tools zstd kexec-tools makedumpfile file libudev1 libsystemd0 libstdc++6)
# One that provides libssl3; its name has changed.
libssl=libssl3

# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"

# A key for everything that goes into the root disk: these files, and what apt would install.
system_key() {
    {
        cat "$here"/{system.sh,common.sh,apt.sh,customize.sh,agent,guest-agent.service,first-boot.service}
        for package in "${packages[@]}" "$libssl" kdump-tools; do
            of_suite "$from" cache policy "$package" | grep -e '^[^ ]' -e 'Candidate:'
        done
        dependencies "$from" linux-image-cloud-amd64 linux-image-
    } | sha256sum | cut -c1-16
}

# Boots a disk until it switches itself off; whether kdump-tools has made its initrd on that occasion.
# The clearcpuid= is MachineSettings.swift's.
booted() {
    local files=$1 disk=$2 version=$3
    timeout -k 5 600 qemu-system-x86_64 -accel tcg,thread=multi -cpu qemu64 -machine q35 -m 1024 \
        -smp 2 -display none -nic none -no-reboot -serial "file:$work/console" \
        -kernel "$files/vmlinuz" -initrd "$files/initramfs" \
        -append "root=/dev/vda rw console=ttyS0 crashkernel=256M guest.first-boot clearcpuid=141 panic=1" \
        -drive "file=$disk,if=virtio,format=raw" </dev/null
    debugfs -R "stat /var/lib/kdump/initrd.img-$version" "$disk" 2>/dev/null | grep -q '^Inode'
}

# The first boot of a disk. Under emulation about one in sixty panics, with nothing of ours in it, so
# a second try from the beginning is fair.
first_boot() {
    local files=$1 disk=$2 version=$3 try
    for try in first second; do
        say "first boot of $from, in which kdump-tools makes its initrd ($try try, about two minutes)"
        cp --sparse=always "$disk" "$disk.$try"
        if booted "$files" "$disk.$try" "$version"; then
            mv "$disk.$try" "$disk"
            rm "$work/console"
            return 0
        fi
        tail -n 20 "$work/console"
        rm "$disk.$try"
    done
    echo "kdump-tools made no initrd" >&2
    return 1
}

make_system() {
    local target=$1 tree version files sources
    work=$(mktemp -d "$cache/making.XXXXXX")
    tree=$work/tree
    if [[ $from == "$suite" ]]; then
        mapfile -t sources < <(debian_sources)
    else
        sources=("$lists/$from/sources.list")
    fi
    # kdump-tools comes last, as on a machine that is already there: when a kernel is installed it
    # wants to make an initrd for it, for which it looks at the mounted disks.
    say "Debian $from with kernel and kdump-tools by mmdebstrap (about a minute)"
    # shellcheck disable=SC2016 # it is mmdebstrap that expands this
    as_root mmdebstrap --quiet --variant=essential \
        --include="$(IFS=,; echo "${packages[*]},$libssl")" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
        --customize-hook='chroot "$1" apt-get install -qq --no-install-recommends kdump-tools >&2' \
        "$from" "$tree" "${sources[@]}"
    as_root "$here/customize.sh" "$tree" system
    version=$(ls "$tree/lib/modules")
    files=$work/$(cut -d. -f1,2 <<<"$version")
    mkdir "$files"
    as_root cp "$tree/boot/vmlinuz-$version" "$files/vmlinuz"
    as_root cp "$tree/boot/initrd.img-$version" "$files/initramfs"
    as_root mke2fs -q -t ext4 -O ^has_journal -L root -d "$tree" "$work/root.ext4" 2G >/dev/null
    as_root chown -R "$(id -u):$(id -g)" "$files" "$work/root.ext4"
    as_root rm -rf "$tree"
    first_boot "$files" "$work/root.ext4" "$version"
    publish "$target"
}

main() {
    begin
    local root
    refresh_lists "$from"
    libssl=$(of_suite "$from" cache show --no-all-versions openssl | sed -n 's/^Depends: //p' |
        grep -oE 'libssl3[a-z0-9]*' | head -n 1)
    root=$cache/$from-$(system_key)
    [[ -d $root ]] || make_system "$root"
    prune "$from" "$root"
    printf 'root %s\n' "$root"
}

main "$@"
