#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/rpm/source.sh: builds the RPM packages from the archive of packaging/dist, by an ordinary user
# and without a network, and lets rpmlint look at them. They end in .build/room/rpm.
#
# It runs on Debian unstable, because that is the one distribution with Swift that is to be had here. So it
# does not check BuildRequires, which are Fedora's names, and takes systemd's macros from
# packaging/rpm/macros.

set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(packaging/version)
exchange=.build/room
mkdir -p "$exchange"
rm -rf "$exchange/rpm"
packaging/dist >/dev/null
cp ".build/dist/kdump-hotplugd-$version.tar.xz" packaging/rpm/{macros,rpmlint.toml} "$exchange"
cat >"$exchange/rpm.sh" <<'SHELL'
set -e
useradd -m builder
cd /home/builder
cp /exchange/kdump-hotplugd-*.tar.xz .
setpriv --reuid=builder --regid=builder --clear-groups env HOME=/home/builder \
    rpmbuild -ta --nodeps --load=/exchange/macros --define "_topdir /home/builder/rpm" \
    ${RPM_OPTIONS:-} kdump-hotplugd-*.tar.xz
mkdir -p /exchange/rpm
cp rpm/RPMS/*/*.rpm rpm/SRPMS/*.rpm /exchange/rpm
rpmlint --strict --config /exchange/rpmlint.toml /exchange/rpm/*.rpm
SHELL
packaging/room rpm env "RPM_OPTIONS=${RPM_OPTIONS:-}" bash /exchange/rpm.sh
rm "$exchange"/{rpm.sh,macros,rpmlint.toml}
ls "$exchange"/rpm/*.rpm
