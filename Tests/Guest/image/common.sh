# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by make.sh and system.sh: where images are kept, how one is put there whole or not at all,
# and what this machine needs for making and booting them.

cache=${KDUMP_HOTPLUGD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kdump-hotplugd}/guest
# The directory that is being made.
work=

say() { printf '[image] %s\n' "$*"; }

# This machine's own apt-get.
apt_get() { "${here:?}/../../../.ci/apt-get" "$@"; }

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# Installs the programs that these scripts and the tests run, where one of them is missing.
need_host_tools() {
    local program missing=()
    local -A package_of=([qemu-system-x86_64]=qemu-system-x86 [qemu-img]=qemu-utils [mmdebstrap]=mmdebstrap [cpio]=cpio
        [busybox]=busybox-static [zstd]=zstd [mke2fs]=e2fsprogs [modprobe]=kmod [xz]=xz-utils
        [flock]=util-linux)
    PATH=$PATH:/usr/sbin:/sbin
    for program in "${!package_of[@]}"; do
        command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    apt_get update -qq
    apt_get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Moves the finished "$work" to "$1", unless another run was quicker.
publish() {
    as_root chown -R "$(id -u):$(id -g)" "$work"
    mv -T "$work" "$1"
    work=
}

# Keeps the two newest directories whose names start with "$1".
prune() {
    local old
    touch "$2"
    find "$cache" -maxdepth 1 -name "$1-*" -printf '%T@ %p\n' | sort -rn | tail -n +3 |
        while read -r _ old; do rm -rf "$old"; done
}

# Leaves nothing half made, and nobody who goes on making it.
clean_up() {
    local running
    running=$(jobs -p)
    [[ -z $running ]] || kill "$running" || true
    wait
    [[ -z $work ]] || as_root rm -rf "$work"
}

# What every making begins with: one at a time.
begin() {
    need_host_tools
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    trap clean_up EXIT
}
