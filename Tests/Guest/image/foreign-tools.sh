# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # foreign.sh and what it sources before set what is not set here
#
# Sourced by foreign.sh: what guests of another architecture need beside their root disk: guest-probe,
# which is cross-built, the initramfs of the capture kernel, and firmware where QEMU brings none.

# unpack PACKAGE: unpacks a package of the base's into "$work/PACKAGE".
unpack() {
    mkdir "$work/$1"
    (cd "$work/$1" && of_suite "$base" get download "$1")
    dpkg-deb --fsys-tarfile "$work/$1"/*.deb | tar -x -C "$work/$1"
}

# Unpacks the busybox of the guests' initramfs, and names it.
fetch_busybox() {
    unpack busybox-static
    busybox=$(find "$work/busybox-static" -name busybox -type f -perm /1 | head -n 1)
}

tools_key() {
    {
        cat "$here"/{foreign.sh,foreign-target.sh,foreign-tools.sh,common.sh,kernels.sh,capture-init} \
            "${probe_sources[@]}"
        # shellcheck disable=SC2086 # there may be none
        of_suite "$base" cache policy busybox-static $firmware_package
        echo "$sdk"
    } | sha256sum | cut -c1-16
}

compile_probe() {
    swiftc "@$sdk/flags" -O -whole-module-optimization -swift-version 6 -warnings-as-errors \
        -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault \
        -enable-upcoming-feature MemberImportVisibility -parse-as-library \
        -module-name GuestProbe -package-name kdump-hotplugd -Xlinker -s "${probe_sources[@]}" \
        -o "$1"
}

capture_initramfs() {
    local stage=$work/stage library
    mkdir -p "$stage"/{bin,dev,proc,sys,lib,"$(dirname "$loader")"}
    cp "$busybox" "$stage/bin/busybox"
    sed "s/ttyS1/$port/; s/ 115200/${speed:+ $speed}/" "$here/capture-init" >"$stage/init"
    chmod +x "$stage/init"
    cp "$work/guest-probe" "$stage/guest-probe"
    # What the probe is linked with; all that is Swift's is in it.
    for library in libc.so.6 libm.so.6 libgcc_s.so.1; do
        cp -L "$sdk/sysroot/lib/$libraries/$library" "$stage/lib/"
    done
    cp -L "$sdk/sysroot/lib/$libraries/$(basename "$loader")" "$stage/$loader"
    pack "$stage" "$1"
    rm -r "$stage"
}

make_tools() {
    local target=$1
    work=$(mktemp -d "$cache/making.XXXXXX")
    mkdir "$work/disk"
    fetch_busybox
    say "guest-probe for $architecture"
    compile_probe "$work/guest-probe"
    say "capture initramfs"
    capture_initramfs "$work/capture.initramfs"
    cp "$work/guest-probe" "$work/capture.initramfs" "$work/disk/"
    mke2fs -q -t ext4 -O ^has_journal -m 0 -L tools -d "$work/disk" "$work/tools.ext4" 32M >/dev/null
    rm -rf "$work/disk" "$work/busybox-static"
    if [[ -n $firmware_package ]]; then
        unpack "$firmware_package"
        cp "$work/$firmware_package/usr/share/$firmware_package/QEMU_EFI.fd" "$work/firmware"
        rm -r "${work:?}/$firmware_package"
    fi
    publish "$target"
}
