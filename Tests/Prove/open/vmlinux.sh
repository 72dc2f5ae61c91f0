#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# vmlinux.sh RELEASE: prints where the kernel of that release lies with its debug symbols, as Debian
# publishes them. The first time it fetches the package (about 280 MB) and keeps of it only the kernel,
# beside the guests' images.

set -euo pipefail
release=$1
cache=${KDUMP_HOTPLUGD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kdump-hotplugd}/symbols
kernel=$cache/vmlinux-$release

if [[ ! -e $kernel ]]; then
    mkdir -p "$cache"
    making=$(mktemp -d "$cache/making.XXXXXX")
    trap 'rm -rf "$making"' EXIT
    echo "[prove] debug symbols of $release (about 280 MB, and a minute to unpack)" >&2
    (cd "$making" && apt-get -qq -o APT::Sandbox::User=root download "linux-image-$release-dbg" >&2)
    dpkg-deb --fsys-tarfile "$making"/*.deb |
        tar -xO "./usr/lib/debug/boot/vmlinux-$release" >"$making/vmlinux"
    mv "$making/vmlinux" "$kernel"
fi
echo "$kernel"
