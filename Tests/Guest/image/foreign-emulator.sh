# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2034 # foreign.sh uses what this sets, and sources before what it uses
#
# Sourced by foreign.sh: QEMU for another architecture, where this machine's own is too old.

is_new() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/.* version \([0-9]*\)\..*/\1/p')
    ((${version:-0} >= oldest_emulator))
}

# Sets "emulator": this machine's own, or that of Debian 12's backports, which is only unpacked. Its
# libraries are those that QEMU for this machine's architecture has, too.
find_emulator() {
    local program=$emulator_program from=bookworm-backports prefix=$architecture-qemu package place
    # For apt.sh: these packages are this machine's.
    local architecture='' lists=$cache/apt
    emulator=$(command -v "$program" || true)
    ! is_new "$program" || return 0
    refresh_lists "$from"
    place=$cache/$prefix-$(of_suite "$from" cache policy "$emulator_package" | sha256sum | cut -c1-16)
    if [[ ! -d $place ]]; then
        say "$emulator_package (10 MB)"
        work=$(mktemp -d "$cache/making.XXXXXX")
        (cd "$work" && of_suite "$from" get download "$emulator_package" qemu-system-data)
        for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work"; done
        rm "$work"/*.deb
        publish "$place"
    fi
    prune "$prefix" "$place"
    emulator=$place/usr/bin/$program
}
