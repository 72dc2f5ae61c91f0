# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # those that source this use what it sets
#
# Sourced by the other scripts here: what differs between the architectures that are built for on
# another one. This is one of the two places that must know a new one; the Makefile is the other.

# set_target ARCHITECTURE: takes Debian's name of it.
set_target() {
    case $1 in
        ppc64el)
            # Its name in Swift.
            machine=powerpc64le
            # What runs its programs here.
            emulator=qemu-ppc64le
            # Calls of async functions are no tail calls there: the stack must hold all of them. Units
            # that QEMU does not know, like G, it ignores: 1G is one byte, and so the least, 128 KiB.
            emulator_flags=(-s 1024M)
            ;;
        arm64)
            machine=aarch64
            emulator=qemu-aarch64
            emulator_flags=()
            ;;
        *)
            echo "There is no cross-building for '$1': ppc64el and arm64 are known." >&2
            exit 2
            ;;
    esac
    architecture=$1
    # The whole of the name, for compilers.
    target=$machine-unknown-linux-gnu
}
