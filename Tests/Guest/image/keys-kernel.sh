#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# keys-kernel.sh ROOT TOOLS: makes a guest for encrypted dump targets of what make.sh has made in these
# directories. It has a kernel with CONFIG_CRASH_DM_CRYPT, because Debian's have not, in the version of the
# guest kernel 7; and that has no file crash_cma_ranges, for another test. own-kernel.sh builds it, which
# takes about half an hour on two processors, once for each version.
#   kernel-KEY/  vmlinuz, and its version in the file "release"
#   keys-KEY/    keys/vmlinuz, keys/initramfs, and root.ext4 with the program "keyring" and an initramfs
#                for the capture kernel, which says what became of the keys
#
# Prints its progress, then the line "root DIRECTORY".

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
base=$1
tools=$2

# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/own-kernel.sh"

# The suite and the newest image package of the guest kernel 7.
from=
image=
configuration=amd64_none_cloud-amd64
own_config=keys.config
wanted=(CRASH_DM_CRYPT CRASH_HOTPLUG DEBUG_INFO_BTF ACPI_HOTPLUG_MEMORY MEMORY_HOTREMOVE)
build_options=()
options=('CONFIG_LOCALVERSION="-keys"')

# Kernels 6.17 and 6.18 have the ranges of crashkernel=…,cma and no file that tells them; nor has this one.
adapt_source() {
    sed -i -e '/&crash_cma_ranges_attr\.attr,/d' -e '/"kexec_crash_cma_ranges"},/d' \
        "$work/source/kernel/kexec_core.c"
}

make_kernel() {
    fetch_source
    # Others may go on while this one compiles.
    flock -u 9
    say "building a kernel with CONFIG_CRASH_DM_CRYPT (about half an hour on two processors)"
    (configure "${options[@]}" && build bzImage) >"$work/log" 2>&1 || { tail -n 40 "$work/log" && return 1; }
    cp "$work/out/arch/x86/boot/bzImage" "$work/vmlinuz"
    cp "$work/out/include/config/kernel.release" "$work/release"
    rm -r "$work"/{source,out,log}
    flock 9
}

# A key for everything that goes into the guest beside the kernel.
guest_key() {
    {
        cat "$here"/{keys-kernel.sh,live-init,capture-keys-init,capture-init,keyring.c}
        printf '%s\n' "$@"
        sha256sum <"$(command -v busybox)"
    } | sha256sum | cut -c1-16
}

pack() { (cd "$1" && find . | cpio --quiet -o -H newc -R 0:0) | zstd -q; }

make_guest() {
    local kernel=$1 live=$work/live capture=$work/capture
    say "guest with that kernel"
    mkdir -p "$work/keys" "$live"/{bin,dev,proc,sys,root} "$capture"
    cp "$kernel/vmlinuz" "$work/keys/vmlinuz"
    cp "$(command -v busybox)" "$live/bin/busybox"
    cp "$here/live-init" "$live/init"
    pack "$live" >"$work/keys/initramfs"
    # Unpacked one after the other, so that the second one's init counts.
    gcc -static -O2 -Wall -Wextra -Werror -s -o "$capture/keyring" "$here/keyring.c"
    cp "$here/capture-keys-init" "$capture/init"
    cp "$here/capture-init" "$capture/capture-init"
    pack "$capture" | cat "$tools/capture.initramfs" - >"$work/capture.initramfs"
    cp --sparse=always "$base/root.ext4" "$work/root.ext4"
    PATH=$PATH:/usr/sbin debugfs -w -f /dev/stdin "$work/root.ext4" >/dev/null <<END
write $kernel/vmlinuz boot/vmlinuz-$(cat "$kernel/release")
write $work/capture.initramfs boot/keys.initramfs
write $capture/keyring usr/local/sbin/keyring
END
    rm -r "$live" "$capture" "$work/capture.initramfs"
}

main() {
    begin
    local kernel root
    "$here/../../../.ci/dependencies" "${build_packages[@]}"
    read -r _ image from < <(grep '^7 ' "$here/kernels")
    refresh_lists "$from"
    image=$(dependencies "$from" "$image" linux-image-)
    kernel=$cache/kernel-$(kernel_key "$(declare -f make_kernel)" "${options[@]}")
    if [[ ! -d $kernel ]]; then
        work=$(mktemp -d "$cache/making.XXXXXX")
        make_kernel
        publish "$kernel"
    fi
    root=$cache/keys-$(guest_key "$kernel" "$base" "$tools")
    if [[ ! -d $root ]]; then
        work=$(mktemp -d "$cache/making.XXXXXX")
        make_guest "$kernel"
        publish "$root"
    fi
    prune kernel "$kernel"
    prune keys "$root"
    printf 'root %s\n' "$root"
}

main "$@"
