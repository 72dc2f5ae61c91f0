#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/deb/source.sh [--twice]: makes Debian's source package and the binary packages from it, as an
# upload would: from the archive of packaging/dist and debian/, by an ordinary user, in a clean Debian
# unstable without a network. They end in .build/room.
#
# With --twice it does that a second time, in another directory, with another umask, time zone, locale,
# home and number of processors, and fails if the packages are not the same to the last byte.

set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(packaging/version)
exchange=.build/room
rm -rf "$exchange"
mkdir -p "$exchange"
packaging/dist >/dev/null
cp ".build/dist/kdump-hotplugd-$version.tar.xz" "$exchange/kdump-hotplugd_$version.orig.tar.xz"
git ls-files -z debian | xargs -0 tar -c | tar -x -C "$exchange"

# build INTO DIRECTORY OPTIONS [VARIABLE=VALUE...]: DEB_BUILD_OPTIONS are OPTIONS.
build() {
    local into=$1 directory=$2 options=$3
    shift 3
    cat >"$exchange/build.sh" <<SHELL
set -e
useradd -m builder
mkdir -p $directory && cd $directory
cp /exchange/*.orig.tar.xz .
tar -xf *.orig.tar.xz
cp -r /exchange/debian kdump-hotplugd-$version/
chown -R builder: .
cd kdump-hotplugd-$version
setpriv --reuid=builder --regid=builder --clear-groups env $* DEB_BUILD_OPTIONS='$options' \
    sh -c 'umask \$UMASK; exec dpkg-buildpackage -us -uc'
mkdir -p /exchange/$into
cp ../*.dsc ../*.deb ../*.debian.tar.* ../*.buildinfo ../*.changes /exchange/$into/
SHELL
    packaging/room build bash /exchange/build.sh
}

build first /build "${DEB_BUILD_OPTIONS:-parallel=$(nproc)}" UMASK=022 TZ=UTC LC_ALL=C.UTF-8
mv "$exchange"/first/* "$exchange"
rmdir "$exchange/first"
if [[ ${1:-} == --twice ]]; then
    build second /another/place "parallel=1 nocheck" UMASK=002 TZ=Pacific/Kiritimati LC_ALL=C HOME=/nonexistent
    for file in "$exchange"/*.{deb,dsc}; do
        cmp "$file" "$exchange/second/${file##*/}" || different=yes
    done
    if [[ -n ${different:-} ]]; then
        # shellcheck disable=SC2016 # the inner shell expands this
        packaging/room check sh -c 'for file in /exchange/*.deb; do
            diffoscope "$file" "/exchange/second/${file##*/}"; done' || true
        exit 1
    fi
    echo "two builds made the same bytes: $(cd "$exchange" && echo *.deb)"
fi
rm -f "$exchange/build.sh"
ls "$exchange"/*.deb
