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

# shellcheck source-path=SCRIPTDIR
. "$here/common.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/apt.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/kernels.sh"

# A key for everything that goes into the root disk: these files, and what apt would install.
root_key() {
    local package from
    {
        cat "$here"/{make.sh,common.sh,apt.sh,kernels.sh,kernels,customize.sh,agent,guest-agent.service,live-init}
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
