#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/deb/test.sh: what a maintainer of Debian runs on the packages of packaging/deb/source.sh, in a
# clean Debian unstable: lintian with all it knows, uscan on debian/watch, the installation and the purge,
# and the package's own tests (debian/tests) by autopkgtest, among them the one that plugs and crashes a
# virtual machine.

set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(packaging/version)
exchange=.build/room
[[ -e $exchange/kdump-hotplugd_$version-1_amd64.changes ]] ||
    { echo "run packaging/deb/source.sh first" >&2; exit 1; }

cat >"$exchange/test.sh" <<SHELL
set -e
cd /exchange
echo "== lintian"
lintian --allow-root --pedantic --display-info --show-overrides --fail-on error,warning,info,pedantic \
    kdump-hotplugd_$version-1_amd64.changes

echo "== uscan"
ip link set lo up
mkdir -p /served/releases /watched/debian
ln kdump-hotplugd_$version.orig.tar.xz /served/releases/ 2>/dev/null ||
    cp kdump-hotplugd_$version.orig.tar.xz /served/releases/
mv /served/releases/*.orig.tar.xz /served/releases/kdump-hotplugd-$version.tar.xz
python3 -m http.server --bind 127.0.0.1 --directory /served 8088 >/dev/null 2>&1 &
server=\$!
sed 's|https://kdump-hotplugd.invalid|http://127.0.0.1:8088|' debian/watch >/watched/debian/watch
printf 'kdump-hotplugd (0.0.1-1) unstable; urgency=low\n\n  * x\n\n -- x <x@x.invalid>  Mon, 23 Nov 2026 00:00:00 +0000\n' \
    >/watched/debian/changelog
sleep 1
(cd /watched && uscan --no-download --dehs) | grep -F '<upstream-version>$version</upstream-version>'
kill \$server

echo "== install and purge"
before=\$(find /etc /usr /var/lib/systemd /lib /opt -printf '%p %M %l\n' | sort)
dpkg -i kdump-hotplugd_$version-1_amd64.deb
kdump-hotplugd --version
[ -e /etc/systemd/system/multi-user.target.wants/kdump-hotplugd.service ]
[ ! -e /etc/systemd/system/sockets.target.wants/kdump-hotplugd-report.socket ]
dpkg --purge kdump-hotplugd
after=\$(find /etc /usr /var/lib/systemd /lib /opt -printf '%p %M %l\n' | sort)
[ "\$before" = "\$after" ] || { diff <(echo "\$before") <(echo "\$after"); exit 1; }

echo "== autopkgtest"
autopkgtest /exchange/kdump-hotplugd_$version-1_amd64.changes -- null
SHELL
packaging/room check bash /exchange/test.sh
rm "$exchange/test.sh"
