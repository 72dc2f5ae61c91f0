#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/deb/make.sh: packages what `make build` built as
# .build/deb/kdump-hotplugd_VERSION_ARCHITECTURE.deb, using only dpkg's own tools. The package
# depends on the libraries that dpkg-shlibdeps finds, so it runs on the Debian release it was built
# on and later.

set -euo pipefail
cd "$(dirname "$0")/../.."

umask 022
version=$(packaging/version)
place=$PWD/.build/deb
tree=$place/tree
rm -rf "$place"
mkdir -p "$tree/DEBIAN" "$place/debian"
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l packaging/deb/changelog -S Timestamp)

make --no-print-directory install DESTDIR="$tree" PREFIX=/usr \
    ZSH_COMPLETIONS=/usr/share/zsh/vendor-completions >"$place/log"
gzip -9n "$tree/usr/share/man/man8/kdump-hotplugd.8"
documents=$tree/usr/share/doc/kdump-hotplugd
install -D -m 0644 packaging/deb/copyright "$documents/copyright"
gzip -9nc packaging/deb/changelog >"$documents/changelog.gz"

# dpkg's tools look for their input in ./debian.
install -m 0644 packaging/deb/{control,changelog} "$place/debian"
install -m 0644 packaging/deb/conffiles "$tree/DEBIAN"
install -m 0755 packaging/deb/{postinst,prerm,postrm} "$tree/DEBIAN"
(
    cd "$place"
    dpkg-shlibdeps -Tsubstvars "$tree/usr/sbin/kdump-hotplugd"
    dpkg-gencontrol -Tsubstvars -P"$tree" -O >"$tree/DEBIAN/control"
)
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z |
    xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$place" >>"$place/log"
rm -rf "$tree" "$place/debian"
echo "$place/kdump-hotplugd_${version}_$(dpkg --print-architecture).deb"
