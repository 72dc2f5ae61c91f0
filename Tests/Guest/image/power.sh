#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# power.sh [matrix]: makes what the guests on POWER boot, as make.sh does for this machine's own
# architecture: for an ordinary run, or with all that `make matrix` tries.
#   power-root-KEY/   root.ext4 and, for each line of the lists of kernels, NAME/vmlinuz and NAME/initramfs
#   power-tools-KEY/  guest-probe, capture.initramfs and tools.ext4
#   power-qemu-KEY/   QEMU, where this machine's own is too old
# No program of that architecture runs here, so Debian's packages are unpacked and not configured;
# "configure" does what guests need of it. Prints its progress, then the lines "root DIRECTORY",
# "tools DIRECTORY" and "emulator PROGRAM".

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
extent=${1:-}
architecture=ppc64el
probe_sources=("$here"/../../{GuestProbe,MarkedPage}/*.swift)
# The Debian that the packages for POWER are built for.
base=bookworm
packages=(systemd systemd-sysv udev kmod kexec-tools libudev1 libsystemd0 libssl3 libstdc++6
    procps util-linux mount kdump-tools makedumpfile strace
    # What mmdebstrap would add by itself to a system that is configured.
    base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip
    hostname init-system-helpers libc-bin login mawk ncurses-bin perl-base sed sysvinit-utils tar)
# For "matrix": the first kexec-tools that knows --hotplug is in the Debian after that one. What it is linked
# with comes from unstable, like the newest kernel: the mirrors have lacked these packages of a stable one.
newer=trixie
newest=sid
newer_libraries=(libc6 liblzma5 libzstd1 zlib1g)
# QEMU 7.2 aborts when two CPUs use the radix MMU (target/ppc/mmu-radix64.c), and now and then hangs.
oldest_emulator=8

# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/kernels.sh"
kernel_lists=(power-kernels)
[[ -z $extent ]] || kernel_lists+=(power-kernels-matrix)

# A key for everything that goes into the root disk: these files, and what apt would install.
root_key() {
    local package from
    {
        cat "$here"/{power.sh,common.sh,apt.sh,kernels.sh,customize.sh,agent} \
            "$here"/{guest-agent.service,live-init} "${kernel_lists[@]/#/$here/}"
        {
            of_suite "$base" cache policy "${packages[@]}"
            [[ -z $extent ]] || {
                of_suite "$newer" cache policy kexec-tools
                of_suite "$newest" cache policy "${newer_libraries[@]}"
            }
            kernels | while read -r _ package from; do of_suite "$from" cache policy "$package"; done
        } | grep -e '^[^ ]' -e 'Candidate:'
    } | sha256sum | cut -c1-16
}

tools_key() {
    {
        cat "$here"/{power.sh,common.sh,kernels.sh,capture-init} "${probe_sources[@]}"
        of_suite "$base" cache policy busybox-static
        echo "$sdk"
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
    as_root sed -i s/ttyS1/hvc1/ "$tree/usr/local/sbin/guest-agent"
    [[ -z $extent ]] || add_newer_kexec "$tree/opt/kexec-tools"
}

# Unpacks that kexec-tools with libraries of its own, and a script that starts it with them.
add_newer_kexec() {
    local place=$1 package
    as_root mkdir -p "$place"
    mkdir "$work/newer"
    (
        cd "$work/newer"
        of_suite "$newer" get download kexec-tools
        of_suite "$newest" get download "${newer_libraries[@]}"
    )
    for package in "$work"/newer/*.deb; do as_root dpkg-deb -x "$package" "$place"; done
    rm -r "$work/newer"
    # shellcheck disable=SC2016 # it is the script that expands this
    printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' /opt/kexec-tools/usr/lib64/ld64.so.2 \
        /opt/kexec-tools/usr/lib/powerpc64le-linux-gnu /opt/kexec-tools/usr/sbin/kexec |
        as_root tee "$place/kexec" >/dev/null
    as_root chmod +x "$place/kexec"
}

# Unpacks the busybox of the guests' initramfs, and names it.
fetch_busybox() {
    mkdir "$work/busybox"
    (cd "$work/busybox" && of_suite "$base" get download busybox-static)
    dpkg-deb --fsys-tarfile "$work"/busybox/*.deb | tar -x -C "$work/busybox"
    busybox=$(find "$work/busybox" -name busybox -type f -perm /1 | head -n 1)
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
    as_root rm -rf "$tree" "$work/stage" "$work/boot" "$work/modules" "$work/busybox"
    publish "$target"
}

make_tools() {
    local target=$1 stage library
    work=$(mktemp -d "$cache/making.XXXXXX")
    stage=$work/stage
    mkdir -p "$stage"/{bin,dev,proc,sys,lib64,lib} "$work/disk"
    fetch_busybox
    say "guest-probe for $architecture"
    swiftc "@$sdk/flags" -O -whole-module-optimization -swift-version 6 -warnings-as-errors \
        -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault \
        -enable-upcoming-feature MemberImportVisibility -parse-as-library \
        -module-name GuestProbe -package-name kdump-hotplugd -Xlinker -s "${probe_sources[@]}" \
        -o "$work/guest-probe"
    say "capture initramfs"
    cp "$busybox" "$stage/bin/busybox"
    sed 's/ttyS1/hvc1/; s/ 115200//' "$here/capture-init" >"$stage/init"
    chmod +x "$stage/init"
    cp "$work/guest-probe" "$stage/guest-probe"
    # What the probe is linked with; all that is Swift's is in it.
    for library in libc.so.6 libm.so.6 libgcc_s.so.1; do
        cp -L "$sdk/sysroot/lib/powerpc64le-linux-gnu/$library" "$stage/lib/"
    done
    cp -L "$sdk/sysroot/lib/powerpc64le-linux-gnu/ld64.so.2" "$stage/lib64/"
    pack "$stage" "$work/capture.initramfs"
    cp "$work/guest-probe" "$work/capture.initramfs" "$work/disk/"
    mke2fs -q -t ext4 -O ^has_journal -m 0 -L tools -d "$work/disk" "$work/tools.ext4" 32M >/dev/null
    rm -rf "$stage" "$work/disk" "$work/busybox"
    publish "$target"
}

is_new() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/.* version \([0-9]*\)\..*/\1/p')
    ((${version:-0} >= oldest_emulator))
}

# Sets "emulator": this machine's own, or that of Debian 12's backports, which is only unpacked. Its
# libraries are those that QEMU for this machine's architecture has, too.
find_emulator() {
    local program=qemu-system-ppc64 from=bookworm-backports package place
    # For apt.sh: these packages are this machine's.
    local architecture='' lists=$cache/apt
    emulator=$(command -v "$program" || true)
    ! is_new "$program" || return 0
    refresh_lists "$from"
    place=$cache/power-qemu-$(of_suite "$from" cache policy qemu-system-ppc | sha256sum | cut -c1-16)
    if [[ ! -d $place ]]; then
        say "QEMU for POWER (10 MB)"
        work=$(mktemp -d "$cache/making.XXXXXX")
        (cd "$work" && of_suite "$from" get download qemu-system-ppc qemu-system-data)
        for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work"; done
        rm "$work"/*.deb
        publish "$place"
    fi
    prune power-qemu "$place"
    emulator=$place/usr/bin/$program
}

main() {
    begin
    local root tools from emulator
    find_emulator
    sdk=$("$here/../../../packaging/cross/sdk.sh" "$architecture")
    while read -r from; do refresh_lists "$from"; done < <(
        printf '%s\n' "$base" ${extent:+"$newer" "$newest"}
        kernels | cut -d' ' -f3 | sort -u
    )
    root=$cache/power-root-$(root_key)
    [[ -d $root ]] || make_root "$root"
    tools=$cache/power-tools-$(tools_key)
    [[ -d $tools ]] || make_tools "$tools"
    prune power-root "$root"
    prune power-tools "$tools"
    printf 'root %s\ntools %s\nemulator %s\n' "$root" "$tools" "$emulator"
}

main "$@"
