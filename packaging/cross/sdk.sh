#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# sdk.sh ARCHITECTURE: makes a Swift SDK for another architecture, by Debian's name for it: a sysroot of
# Debian 12's packages, and the static libraries of Swift that the daemon and its unit tests take,
# cross-built from Debian's source package of Swift. That takes about ten minutes on two processors,
# once: the result is cached in ~/.cache/kdump-hotplugd (or $KDUMP_HOTPLUGD_CACHE), keyed by what goes
# into it. A run that was interrupted is continued by the next one.
#
# For POWER (ppc64el) no toolchain and no distribution has Swift's libraries. For arm64 Debian unstable
# has them, in a package of more than twice the size of the source, and they take a newer C library than
# Debian 12's (__isoc23_strtol, strlcpy). So both are made in the same way.
#
#   sysroot/      the headers and libraries of Debian, and in usr/lib/swift_static those of Swift
#   bundles/      what SwiftPM is given: an SDK by the name of the architecture
#   flags         the same for swiftc, in the form of its response files
#   libraries/    what the libraries say of their versions, for dpkg-shlibdeps
#   testing/      the source of the testing library, which packaging/cross/test compiles
#
# Prints its progress to standard error, then the directory with all this. SDK_JOBS is how many
# processes compile at a time.

set -euo pipefail
export LC_ALL=C
here=$(dirname "$(readlink -f "$0")")
cache=${KDUMP_HOTPLUGD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kdump-hotplugd}/cross
jobs=${SDK_JOBS:-$(nproc)}
toolchain=$(dirname "$(readlink -f "$(command -v swiftc)")")
# Where it is made: a name that the next run finds again.
work=

say() { printf '[%s] %s\n' "$architecture" "$*" >&2; }

# shellcheck source-path=SCRIPTDIR
. "$here/target.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/sysroot.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/source.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/runtime.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/modules.sh"

# A key for everything that goes into the SDK.
key() {
    {
        echo "$architecture $target"
        cat "$here"/{sdk,sysroot,source,runtime,modules}.sh "$here/TerminalSize.swift"
        sysroot_versions
        swiftc --version 2>/dev/null
        echo "$toolchain"
    } | sha256sum | cut -c1-16
}

# once NAME COMMAND...: runs it unless an earlier run has finished it.
once() {
    local done=$work/done/$1
    shift
    [[ ! -e $done ]] || return 0
    "$@"
    mkdir -p "$work/done"
    touch "$done"
}

# Tells SwiftPM and swiftc about the SDK, which will be at $1.
write_bundle() {
    local bundle=$work/bundles/$architecture.artifactbundle sysroot=$1/sysroot
    local libraries=$sysroot/usr/lib/swift_static
    mkdir -p "$bundle/sdk"
    cat >"$bundle/info.json" <<END
{"schemaVersion": "1.0", "artifacts": {"$architecture": {"type": "swiftSDK", "version": "1",
 "variants": [{"path": "sdk", "supportedTriples": ["$(uname -m)-unknown-linux-gnu"]}]}}}
END
    cat >"$bundle/sdk/swift-sdk.json" <<END
{"schemaVersion": "4.0", "targetTriples": {"$target": {"sdkRootPath": "$sysroot",
 "swiftResourcesPath": "$libraries", "swiftStaticResourcesPath": "$libraries",
 "toolsetPaths": ["toolset.json"]}}}
END
    cat >"$bundle/sdk/toolset.json" <<END
{"schemaVersion": "1.0", "swiftCompiler": {"extraCLIOptions": ["-static-stdlib", "-use-ld=lld",
 "-Xclang-linker", "--sysroot=$sysroot", "-Xcc", "--sysroot=$sysroot"]}}
END
    printf '"%s"\n' -target "$target" -sdk "$sysroot" -resource-dir "$libraries" -static-stdlib \
        -use-ld=lld -Xclang-linker "--sysroot=$sysroot" -Xcc "--sysroot=$sysroot" >"$work/flags"
}

# Keeps the two newest SDKs of the architecture.
prune() {
    local old
    touch "$1"
    find "$cache" -maxdepth 1 -name "sdk-$architecture-*" -printf '%T@ %p\n' | sort -rn | tail -n +3 |
        while read -r _ old; do rm -rf "$old"; done
}

main() {
    local sdk
    set_target "$1"
    mkdir -p "$cache"
    exec 9>"$cache/lock-$architecture"
    flock 9
    "$here/../../.ci/dependencies" python3 xz-utils >&2
    refresh_lists
    sdk=$cache/sdk-$architecture-$(key)
    if [[ ! -d $sdk ]]; then
        work=$sdk.part
        mkdir -p "$work"
        say "making a Swift SDK: about ten minutes on two processors, once"
        once sysroot make_sysroot
        once source unpack_source
        compile_runtime
        make_modules
        write_bundle "$sdk"
        mv "$work/source/swift-testing" "$work/testing"
        rm -rf "$work/source" "$work/objects" "$work/done"
        mv "$work" "$sdk"
    fi
    prune "$sdk"
    echo "$sdk"
}

main "$@"
