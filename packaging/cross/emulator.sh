# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # those who source this set "here", target.sh the others
#
# Sourced by run and test: QEMU's user mode emulation, 8.0 or newer. In the older one of Debian 12 a
# conditional store of 16 bytes never succeeds on POWER (stqcx., target/ppc/translate.c), and Swift's
# runtime tries for ever. There the newer one is fetched from Debian 12's backports and only unpacked;
# apt gets lists of its own for it, below the cache, and verifies what it downloads.

oldest_emulator=8

# For "mirror".
# shellcheck source-path=SCRIPTDIR
. "$here/sysroot.sh"

# emulate SDK PROGRAM ARGUMENTS...: runs a program with the libraries of the SDK.
emulate() {
    local program
    program=$(emulator_program)
    "$program" "${emulator_flags[@]}" -L "$1/sysroot" "${@:2}"
}

# Prints the program that emulates.
emulator_program() {
    local own=${KDUMP_HOTPLUGD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kdump-hotplugd}/cross/emulator
    local program=$own/usr/bin/$emulator
    if is_new "$emulator"; then
        command -v "$emulator"
        return
    fi
    mkdir -p "$own"
    (
        flock 9
        is_new "$program" || fetch_emulator "$own" && is_new "$program"
    ) 9>"$own/lock"
    echo "$program"
}

is_new() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/.* version \([0-9]*\)\..*/\1/p')
    ((${version:-0} >= oldest_emulator))
}

# fetch_emulator DIRECTORY: lays out QEMU's package below it.
fetch_emulator() {
    local uri options=(-qq -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$1/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$1/lists"
        -o Dir::State::status=/dev/null -o Dir::Cache="$1/cache" -o Acquire::Languages=none)
    echo "[emulator] QEMU of Debian 12's backports (63 MB)" >&2
    uri=$(mirror)
    mkdir -p "$1"/{lists,cache/archives}/partial
    printf 'deb [signed-by=%s] %s bookworm-backports main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg "$uri" >"$1/sources.list"
    apt-get "${options[@]}" update >&2
    (cd "$1" && apt-get "${options[@]}" download qemu-user >&2)
    # It has the emulators of all architectures.
    dpkg-deb --fsys-tarfile "$1"/qemu-user_*.deb | tar -x -C "$1" "./usr/bin/$emulator"
    rm -r "$1"/*.deb "$1/lists" "$1/cache"
}
