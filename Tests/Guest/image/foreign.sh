#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# foreign.sh ARCHITECTURE [matrix]: makes what the guests on another architecture boot, by Debian's name
# for it, as make.sh does for this machine's own: for an ordinary run, or with all that `make matrix` tries.
#   ARCHITECTURE-root-KEY/   root.ext4 and, for each line of the lists of kernels, NAME/vmlinuz and
#                            NAME/initramfs
#   ARCHITECTURE-tools-KEY/  guest-probe, capture.initramfs, tools.ext4 and, if need be, firmware
#   ARCHITECTURE-qemu-KEY/   QEMU, where this machine's own is too old
# No program of that architecture runs here, so Debian's packages are unpacked and not configured;
# "configure" does what guests need of it. Prints its progress, then the lines "root DIRECTORY",
# "tools DIRECTORY" and "emulator PROGRAM".

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
extent=${2:-}
probe_sources=("$here"/../../{GuestProbe,MarkedPage}/*.swift)

# shellcheck source-path=SCRIPTDIR
. "$here/foreign-target.sh"
set_target "${1:-}"

# The Debian that the packages for guests come from.
base=bookworm
packages=(systemd systemd-sysv udev kmod kexec-tools libudev1 libsystemd0 libssl3 libstdc++6
    procps util-linux mount kdump-tools makedumpfile strace
    # What mmdebstrap would add by itself to a system that is configured.
    base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip
    hostname init-system-helpers libc-bin login mawk ncurses-bin perl-base sed sysvinit-utils tar)
# What a newer kexec-tools is linked with comes from unstable, like the newest kernel: the mirrors have
# lacked these packages of a stable one.
newest=sid
newer_libraries=(libc6 liblzma5 libzstd1 zlib1g)

# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/kernels.sh"
kernel_lists=("kernels-$architecture")
if [[ -n $extent ]]; then
    kernel_lists+=("kernels-$architecture-matrix")
else
    newer_kexec=
fi
# shellcheck source-path=SCRIPTDIR
. "$here/foreign-emulator.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/foreign-tools.sh"

# A key for everything that goes into the root disk: these files, and what apt would install.
root_key() {
    local package from
    {
        cat "$here"/{foreign.sh,foreign-target.sh,common.sh,apt.sh,kernels.sh,customize.sh,agent} \
            "$here"/{guest-agent.service,live-init} "${kernel_lists[@]/#/$here/}"
        {
            of_suite "$base" cache policy "${packages[@]}"
            [[ -z $newer_kexec ]] || {
                of_suite "$newer_kexec" cache policy kexec-tools
                of_suite "$newest" cache policy "${newer_libraries[@]}"
            }
            kernels | while read -r _ package from; do of_suite "$from" cache policy "$package"; done
        } | grep -e '^[^ ]' -e 'Candidate:'
    } | sha256sum | cut -c1-16
}

# Does what the packages' own scripts would, as far as guests need it.
configure() {
    local tree=$1
    # shellcheck disable=SC2016 # it is that shell that expands this
    as_root sh -euc '
        cd "$1"
        cp usr/share/base-passwd/passwd.master etc/passwd
        cp usr/share/base-passwd/group.master etc/group
        ln -sf mawk usr/bin/awk
        ln -sf which.debianutils usr/bin/which
        mkdir -p etc/systemd/system/basic.target.wants var/lib/kdump
        cp usr/share/kdump-tools/kdump-tools.conf etc/default/kdump-tools
        ln -s /lib/systemd/system/kdump-tools.service etc/systemd/system/basic.target.wants/
    ' configure "$tree"
    as_root "$here/customize.sh" "$tree"
    # It adds the users and groups that packages would have added.
    as_root rm "$tree/etc/systemd/system/systemd-sysusers.service"
    as_root sed -i "s/ttyS1/$port/" "$tree/usr/local/sbin/guest-agent"
    [[ -z $newer_kexec ]] || add_newer_kexec "$tree/opt/kexec-tools"
}

# Unpacks that kexec-tools with libraries of its own, and a script that starts it with them.
add_newer_kexec() {
    local place=$1 package
    as_root mkdir -p "$place"
    mkdir "$work/newer"
    (
        cd "$work/newer"
        of_suite "$newer_kexec" get download kexec-tools
        of_suite "$newest" get download "${newer_libraries[@]}"
    )
    for package in "$work"/newer/*.deb; do as_root dpkg-deb -x "$package" "$place"; done
    rm -r "$work/newer"
    # shellcheck disable=SC2016 # it is the script that expands this
    printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "/opt/kexec-tools/usr/$loader" \
        "/opt/kexec-tools/usr/lib/$libraries" /opt/kexec-tools/usr/sbin/kexec |
        as_root tee "$place/kexec" >/dev/null
    as_root chmod +x "$place/kexec"
}

make_root() {
    local target=$1 tree making
    work=$(mktemp -d "$cache/making.XXXXXX")
    mkdir "$work/boot"
    fetch_busybox
    make_kernels &
    making=$!
    tree=$work/tree
    say "Debian $base for $architecture by mmdebstrap (about 20 s)"
    # shellcheck disable=SC2016 # it is mmdebstrap that expands this
    as_root mmdebstrap --quiet --architectures="$architecture" --variant=extract \
        --include="$(IFS=,; echo "${packages[*]}")" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
        --setup-hook='for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done' \
        "$base" "$tree" "$lists/$base/sources.list"
    configure "$tree"
    wait "$making"
    as_root cp "$work"/boot/* "$tree/boot/"
    as_root cp -r "$work/modules/lib/modules" "$tree/lib/"
    say "root disk"
    as_root mke2fs -q -t ext4 -O ^has_journal -L root -d "$tree" "$work/root.ext4" 1G >/dev/null
    as_root rm -rf "$tree" "$work/stage" "$work/boot" "$work/modules" "$work/busybox-static"
    publish "$target"
}

main() {
    begin
    local root tools from emulator sdk
    find_emulator
    while read -r from; do refresh_lists "$from"; done < <(
        printf '%s\n' "$base" ${newer_kexec:+"$newer_kexec" "$newest"}
        kernels | cut -d' ' -f3 | sort -u
    )
    root=$cache/$architecture-root-$(root_key)
    [[ -d $root ]] || make_root "$root"
    sdk=$("$here/../../../packaging/cross/sdk.sh" "$architecture")
    tools=$cache/$architecture-tools-$(tools_key)
    [[ -d $tools ]] || make_tools "$tools"
    prune "$architecture-root" "$root"
    prune "$architecture-tools" "$tools"
    printf 'root %s\ntools %s\nemulator %s\n' "$root" "$tools" "$emulator"
}

main "$@"
