# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # common.sh, apt.sh and those that source this set what is not set here
#
# Sourced by make.sh and foreign.sh: the kernels of the guests, from Debian's packages, and what a guest
# needs of them before it has its root disk.

# The drivers of memory that is no DIMM: virtio-mem, and DAX devices, which CXL memory and memory of
# other kinds become. The guest loads them with modprobe when a test wants them.
drivers=(virtio_mem nd_e820 nd_pmem dax_pmem dax_hmem device_dax kmem)
# The lists of kernels.
kernel_lists=(kernels)
# The busybox of an initramfs.
busybox=$(command -v busybox || true)

# The lines of the lists of kernels, each with its suite: NAME METAPACKAGE SUITE.
kernels() {
    local name metapackage from
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${kernel_lists[@]/#/$here/}" |
        while read -r name metapackage from; do echo "$name $metapackage ${from:-$suite}"; done
}

# Writes the initramfs of a live guest: busybox, the modules the root disk needs, live-init.
live_initramfs() {
    local tree=$1 version=$2 output=$3 stage=$work/stage number=10 kind module
    local -A seen=()
    rm -rf "$stage"
    mkdir -p "$stage"/{bin,dev,proc,sys,root,modules}
    cp "$busybox" "$stage/bin/busybox"
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
    mkdir -p "$work/modules/lib/modules/$version"
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
        ln "$tree/boot"/vmlinu[xz]-"$version" "$work/boot/"
        ln "$work/boot"/vmlinu[xz]-"$version" "$work/$name/vmlinuz"
        rm -rf "$tree"
    done
}

