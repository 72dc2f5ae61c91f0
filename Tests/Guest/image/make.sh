#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes what the guest tests boot, from stock Debian packages, once for each state of its inputs:
#   root-KEY/   root.ext4 and, for each line of "kernels", NAME/vmlinuz and NAME/initramfs
#   tools-KEY/  guest-probe, capture.initramfs and tools.ext4, which holds both for the live guest
# A change of the probe makes only the second, in seconds. Prints its progress, then the two lines
# "root DIRECTORY" and "tools DIRECTORY".

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
probe_sources=("$here"/../../{GuestProbe,MarkedPage}/*.swift)
packages=(systemd systemd-sysv udev kmod kexec-tools libudev1 libsystemd0 libssl3 libstdc++6
    procps util-linux mount kdump-tools makedumpfile ndctl daxctl strace)
# The drivers of memory that is no DIMM: virtio-mem, and DAX devices, which CXL memory and memory of
# other kinds become. The guest loads them with modprobe when a test wants them.
drivers=(virtio_mem nd_e820 nd_pmem dax_pmem dax_hmem device_dax kmem)

# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"

# The lines of "kernels", each with its suite: NAME METAPACKAGE SUITE.
kernels() {
    local name metapackage from
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/kernels" |
        while read -r name metapackage from; do echo "$name $metapackage ${from:-$suite}"; done
}

# A key for everything that goes into the root disk: these files, and what apt would install.
root_key() {
    local package from
    {
        cat "$here"/{make.sh,common.sh,apt.sh,kernels,customize.sh,agent,guest-agent.service,live-init}
        {
            apt-cache policy "${packages[@]}"
            kernels | while read -r _ package from; do of_suite "$from" cache policy "$package"; done
        } | grep -e '^[^ ]' -e 'Candidate:'
    } | sha256sum | cut -c1-16
}

tools_key() {
    {
        cat "$here"/{make.sh,common.sh,capture-init} "${probe_sources[@]}"
        swiftc --version 2>/dev/null
        sha256sum <"$(command -v busybox)"
    } | sha256sum | cut -c1-16
}

# Writes the initramfs of a live guest: busybox, the modules the root disk needs, live-init.
live_initramfs() {
    local tree=$1 version=$2 output=$3 stage=$work/stage number=10 kind module
    local -A seen=()
    rm -rf "$stage"
    mkdir -p "$stage"/{bin,dev,proc,sys,root,modules}
    cp "$(command -v busybox)" "$stage/bin/busybox"
    cp "$here/live-init" "$stage/init"
    while read -r kind module; do
        [[ $kind == insmod && -z ${seen[$module]:-} ]] || continue
        seen[$module]=1
        case $module in
            *.xz) xz -dc "$module" ;;
            *.zst) zstd -qdc "$module" ;;
            *) cat "$module" ;;
        esac >"$stage/modules/$((number++))-$(basename "${module%.ko*}")"
    done < <(for module in virtio_pci virtio_blk crc32c_generic ext4; do
        modprobe -d "$tree" -S "$version" --show-depends "$module" 2>/dev/null || true
    done)
    pack "$stage" "$output"
}

# Copies those drivers, and what they need, to where the root disk will have them.
driver_modules() {
    local tree=$1 version=$2 kind module
    while read -r kind module; do
        [[ $kind == insmod ]] || continue
        install -D -m 0644 "$module" "$work/modules/${module#"$tree/"}"
    done < <(for module in "${drivers[@]}"; do
        modprobe -d "$tree" -S "$version" --show-depends "$module" 2>/dev/null || true
    done)
    cp "$tree/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$work/modules/lib/modules/$version/"
    depmod -b "$work/modules" "$version"
}

pack() { (cd "$1" && find . | cpio --quiet -o -H newc -R 0:0) | zstd -q -19 -T0 >"$2"; }

# All kernels, below "$work": for each NAME/vmlinuz and NAME/initramfs, and boot/ with all of them for
# the root disk.
make_kernels() {
    local name metapackage from version tree
    kernels | while read -r name metapackage from; do
        tree=$work/$name/tree
        fetch_kernel "$name" "$metapackage" "$from" "$tree"
        version=$(ls "$tree/lib/modules")
        depmod -b "$tree" "$version"
        live_initramfs "$tree" "$version" "$work/$name/initramfs"
        driver_modules "$tree" "$version"
        ln "$tree/boot/vmlinuz-$version" "$work/$name/vmlinuz"
        ln "$tree/boot/vmlinuz-$version" "$work/boot/"
        rm -rf "$tree"
    done
}

make_root() {
    local target=$1 tree sources making
    work=$(mktemp -d "$cache/making.XXXXXX")
    mkdir "$work/boot"
    make_kernels &
    making=$!
    tree=$work/tree
    mapfile -t sources < <(debian_sources)
    say "Debian $suite by mmdebstrap (about 20 s)"
    as_root mmdebstrap --quiet --variant=essential \
        --include="$(IFS=,; echo "${packages[*]}")" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
        "$suite" "$tree" "${sources[@]}"
    as_root "$here/customize.sh" "$tree"
    wait "$making"
    as_root cp "$work"/boot/* "$tree/boot/"
    as_root cp -r "$work/modules/lib/modules" "$tree/lib/"
    say "root disk"
    as_root mke2fs -q -t ext4 -O ^has_journal -L root -d "$tree" "$work/root.ext4" 1G >/dev/null
    as_root rm -rf "$tree" "$work/stage" "$work/boot" "$work/modules"
    publish "$target"
}

# The probe is compiled here and not by SwiftPM: its build lock is held while the tests run.
compile_probe() {
    swiftc -O -whole-module-optimization -static-executable -swift-version 6 -warnings-as-errors \
        -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault \
        -enable-upcoming-feature MemberImportVisibility -parse-as-library \
        -module-name GuestProbe -package-name kdump-hotplugd -use-ld=lld -Xlinker -s "${probe_sources[@]}" -o "$1"
}

make_tools() {
    local target=$1 stage
    work=$(mktemp -d "$cache/making.XXXXXX")
    stage=$work/stage
    mkdir -p "$stage"/{bin,dev,proc,sys} "$work/disk"
    say "guest-probe"
    compile_probe "$work/guest-probe"
    say "capture initramfs"
    cp "$(command -v busybox)" "$stage/bin/busybox"
    cp "$here/capture-init" "$stage/init"
    cp "$work/guest-probe" "$stage/guest-probe"
    pack "$stage" "$work/capture.initramfs"
    cp "$work/guest-probe" "$work/capture.initramfs" "$work/disk/"
    mke2fs -q -t ext4 -O ^has_journal -m 0 -L tools -d "$work/disk" "$work/tools.ext4" 32M >/dev/null
    rm -rf "$stage" "$work/disk"
    publish "$target"
}

main() {
    begin
    local root tools from
    while read -r from; do refresh_lists "$from"; done < <(kernels | cut -d' ' -f3 | sort -u)
    root=$cache/root-$(root_key)
    if [[ ! -d $root ]]; then
        say "apt-get update"
        apt_get update -qq
        root=$cache/root-$(root_key)
        [[ -d $root ]] || make_root "$root"
    fi
    tools=$cache/tools-$(tools_key)
    [[ -d $tools ]] || make_tools "$tools"
    prune root "$root"
    prune tools "$tools"
    printf 'root %s\ntools %s\n' "$root" "$tools"
}

main "$@"
