# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # those that source this use what it sets
#
# Sourced by foreign.sh: what differs between the architectures that guests have and this machine has
# not. packaging/cross/target.sh says what building for them takes.

# set_target ARCHITECTURE: takes Debian's name of it.
set_target() {
    case $1 in
        ppc64el)
            # Its name in the paths of libraries, and where programs look for what loads these.
            libraries=powerpc64le-linux-gnu
            loader=lib64/ld64.so.2
            # The port of the tests' shell: here a hypervisor's console, which has no speed.
            port=hvc1
            speed=
            emulator_program=qemu-system-ppc64
            emulator_package=qemu-system-ppc
            # QEMU 7.2 aborts when two CPUs use the radix MMU (target/ppc/mmu-radix64.c), and now and
            # then hangs.
            oldest_emulator=8
            firmware_package=
            # For "matrix": the first kexec-tools that knows --hotplug is in the Debian after that one.
            newer_kexec=trixie
            ;;
        arm64)
            libraries=aarch64-linux-gnu
            loader=lib/ld-linux-aarch64.so.1
            port=ttyAMA1
            speed=115200
            emulator_program=qemu-system-aarch64
            emulator_package=qemu-system-arm
            # The first that gives the machine a second serial port is 9.1 (hw/arm/virt.c).
            oldest_emulator=10
            # Memory is plugged in by ACPI, which QEMU leaves to UEFI there.
            firmware_package=qemu-efi-aarch64
            newer_kexec=
            ;;
        *)
            echo "There are no guests for '$1': ppc64el and arm64 are known." >&2
            exit 2
            ;;
    esac
    architecture=$1
}
