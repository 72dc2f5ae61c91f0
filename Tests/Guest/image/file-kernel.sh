#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# file-kernel.sh ARCHITECTURE ROOT TOOLS: makes guests on another architecture of what foreign.sh has made
# in these directories, with kernels that have kexec_file_load, because Debian's for POWER and arm64 have
# not, in the version of its kernel 6.12. own-kernel.sh builds them, which takes half an hour on two
# processors, once for each version.
#   ARCHITECTURE-kernels-KEY/  for each NAME/vmlinuz, and its version in the file NAME/release
#   ARCHITECTURE-file-KEY/     root.ext4 and, for each, NAME/vmlinuz and NAME/initramfs
#   power-qemu-KEY/            QEMU 11, the first whose pseries machine has fadump, with libraries of its own
#
# Prints its progress, then the line "root DIRECTORY" and on POWER "emulator PROGRAM".

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
base=$2
tools=$3

# shellcheck source-path=SCRIPTDIR
. "$here/foreign-target.sh"
set_target "${1:-}"
# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/own-kernel.sh"

# The suite and the newest image package of the kernel 6.12.
from=
image=
own_config=file-$architecture.config
wanted=(KEXEC KEXEC_FILE DEBUG_INFO_BTF MEMORY_HOTREMOVE FTRACE_SYSCALLS)
prefix=${libraries}-
compiler=${prefix}gcc
adapt_source() { :; }

# What differs between the architectures: beside what own-kernel.sh takes, the names of the kernels, and
# what make makes of them. On POWER one keeps an image up by itself; the other never touches it, as those of
# RHEL 9 and SUSE. Both have fadump.
case $architecture in
    ppc64el)
        names=(power-file-hotplug power-file)
        configuration=ppc64el_none_powerpc64le
        build_options=(ARCH=powerpc "CROSS_COMPILE=$prefix")
        wanted+=(FA_DUMP)
        target=vmlinux
        made=vmlinux
        ;;
    arm64)
        names=(arm64-file)
        configuration=arm64_none_cloud-arm64
        build_options=(ARCH=arm64 "CROSS_COMPILE=$prefix")
        wanted+=(ACPI_HOTPLUG_MEMORY PCI_HOST_GENERIC)
        target=Image
        made=arch/arm64/boot/Image
        ;;
esac

# set_options NAME: what differs between two kernels of an architecture.
set_options() {
    case $1 in
        power-file-hotplug) options=('CONFIG_LOCALVERSION="-kept"' CONFIG_CRASH_HOTPLUG=y) ;;
        power-file) options=('CONFIG_LOCALVERSION="-file"' '# CONFIG_CRASH_HOTPLUG is not set') ;;
        *) options=('CONFIG_LOCALVERSION="-file"') ;;
    esac
}

make_kernels() {
    local name options
    fetch_source
    # Others may go on while these compile.
    flock -u 9
    say "building ${#names[@]} kernel(s) with kexec_file_load (about half an hour on two processors)"
    set_options "${names[0]}"
    configure "${options[@]}" >"$work/log" 2>&1 || { tail -n 40 "$work/log" && return 1; }
    # A second one differs in few files.
    for name in "${names[@]}"; do
        mkdir "$work/$name"
        set_options "$name"
        (reconfigure "${options[@]}" && build "$target") >"$work/log" 2>&1 ||
            { tail -n 40 "$work/log" && return 1; }
        cp "$work/out/$made" "$work/$name/vmlinuz"
        [[ $made != vmlinux ]] || "${prefix}strip" "$work/$name/vmlinuz"
        cp "$work/out/include/config/kernel.release" "$work/$name/release"
    done
    rm -r "$work"/{source,out,log}
    flock 9
}

# A key for everything that goes into the guests beside the kernels.
guest_key() {
    {
        cat "$here"/{file-kernel.sh,foreign-target.sh,live-init,capture-init,firmware-dump-init}
        printf '%s\n' "$@"
    } | sha256sum | cut -c1-16
}

# The busybox of the capture kernel's initramfs is there, too.
make_guests() {
    local kernels=$1 stage=$work/stage name release
    say "guests with those kernels"
    mkdir -p "$stage"/{dev,proc,sys,root}
    cp "$here/live-init" "$stage/live-init"
    sed "s/ttyS1/$port/; s/ 115200/${speed:+ $speed}/" "$here/capture-init" >"$stage/capture-init"
    cp "$here/firmware-dump-init" "$stage/init"
    chmod +x "$stage"/*init
    # Unpacked one after the other, so that the second one's init counts.
    (cd "$stage" && find . | cpio --quiet -o -H newc -R 0:0) | zstd -q |
        cat "$tools/capture.initramfs" - >"$work/initramfs"
    cp --sparse=always "$base/root.ext4" "$work/root.ext4"
    for name in "${names[@]}"; do
        mkdir "$work/$name"
        ln "$work/initramfs" "$work/$name/initramfs"
        cp "$kernels/$name/vmlinuz" "$work/$name/vmlinuz"
        release=$(cat "$kernels/$name/release")
        PATH=$PATH:/usr/sbin debugfs -w -f /dev/stdin "$work/root.ext4" >/dev/null <<END
write $work/$name/vmlinuz boot/vmlinuz-$release
END
    done
    rm -r "$stage" "$work/initramfs"
}

# Sets "emulator". It is linked with a newer C library than this machine may have, so it gets its own.
find_newest_emulator() {
    local suites=(trixie trixie-backports) library=usr/lib/x86_64-linux-gnu place suite
    # For apt.sh: these packages are this machine's.
    local architecture='' lists=$cache/apt
    for suite in "${suites[@]}"; do refresh_lists "$suite"; done
    place=$cache/power-qemu-$(of_suite trixie-backports cache policy qemu-system-ppc |
        cat - "$here/file-kernel.sh" | sha256sum | cut -c1-16)
    if [[ ! -d $place ]]; then
        say "QEMU 11 with its libraries (50 MB)"
        work=$(mktemp -d "$cache/making.XXXXXX")
        as_root mmdebstrap --quiet --variant=extract --include=qemu-system-ppc \
            --aptopt='APT::Default-Release "trixie-backports"' \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' \
            trixie "$work/all" "$lists"/{trixie,trixie-backports}/sources.list
        as_root mkdir -p "$work"/usr/{bin,lib,share}
        as_root mv "$work/all/$library" "$work/usr/lib/"
        as_root mv "$work/all/usr/share/qemu" "$work/usr/share/"
        as_root mv "$work/all/usr/bin/qemu-system-ppc64" "$work/usr/lib/"
        as_root rm -rf "$work/all"
        as_root tee "$work/usr/bin/qemu-system-ppc64" >/dev/null <<END
#!/bin/sh
exec $place/$library/ld-linux-x86-64.so.2 --library-path $place/$library \
$place/usr/lib/qemu-system-ppc64 "\$@"
END
        as_root chmod +x "$work/usr/bin/qemu-system-ppc64"
        publish "$place"
    fi
    prune power-qemu "$place"
    emulator=$place/usr/bin/qemu-system-ppc64
}

main() {
    begin
    local kernels root emulator=
    "$here/../../../.ci/dependencies" "${build_packages[@]}" "gcc-$libraries"
    [[ $architecture != ppc64el ]] || find_newest_emulator
    read -r _ image from < <(grep -E '^[a-z0-9]+-6.12 ' "$here/kernels-$architecture")
    refresh_lists "$from"
    image=$(dependencies "$from" "$image" linux-image-)
    kernels=$cache/$architecture-kernels-$(kernel_key "$(declare -f set_options make_kernels)" \
        "${names[@]}" "$target" "$made")
    if [[ ! -d $kernels ]]; then
        work=$(mktemp -d "$cache/making.XXXXXX")
        make_kernels
        publish "$kernels"
    fi
    root=$cache/$architecture-file-$(guest_key "$kernels" "$base" "$tools")
    if [[ ! -d $root ]]; then
        work=$(mktemp -d "$cache/making.XXXXXX")
        make_guests "$kernels"
        publish "$root"
    fi
    prune "$architecture-kernels" "$kernels"
    prune "$architecture-file" "$root"
    printf 'root %s\n' "$root"
    [[ -z $emulator ]] || printf 'emulator %s\n' "$emulator"
}

main "$@"
