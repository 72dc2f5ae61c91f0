#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/deb/make.sh ARCHITECTURE: packages what `make build ARCH=ARCHITECTURE` built as
# .build/deb/kdump-hotplugd_VERSION_ARCHITECTURE.deb, using only dpkg's own tools, for those who bring
# a Swift toolchain of their own. The package depends on the libraries that dpkg-shlibdeps finds, so it
# runs on the Debian release it was built on and later.
#
# Texts and scripts are those of the source package in debian/, which an upload to Debian would be made
# of (make debian-source). Only what debhelper would put into the scripts is here, beside this one.

set -euo pipefail
cd "$(dirname "$0")/../.."

umask 022
architecture=$1
version=$(packaging/version)
place=$PWD/.build/deb
tree=$place/tree
rm -rf "$tree" "$place/debian" "$place"/kdump-hotplugd_*_"$architecture".deb
mkdir -p "$tree/DEBIAN" "$place/debian"
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)

# script NAME: a maintainer script, with what debhelper would put into it.
script() {
    if [[ -e debian/kdump-hotplugd.$1 ]]; then
        sed -e "/^#DEBHELPER#\$/{r packaging/deb/$1" -e 'd}' "debian/kdump-hotplugd.$1"
    else
        printf '#!/bin/sh\nset -e\n\n'
        cat "packaging/deb/$1"
    fi
}

make --no-print-directory install ARCH="$architecture" DESTDIR="$tree" PREFIX=/usr \
    ZSH_COMPLETIONS=/usr/share/zsh/vendor-completions >"$place/log"
gzip -9n "$tree/usr/share/man/man8/kdump-hotplugd.8"
documents=$tree/usr/share/doc/kdump-hotplugd
install -D -m 0644 debian/copyright "$documents/copyright"
# This package is not Debian's, and so has no Debian revision.
sed 's/^\(kdump-hotplugd ([0-9.]*\)-[0-9]*)/\1)/' debian/changelog >"$place/debian/changelog"
gzip -9nc "$place/debian/changelog" >"$documents/changelog.gz"

# dpkg's tools look for their input in ./debian; what is debhelper's is left out. An upload is built only
# where Debian has Swift, which this package needs not.
sed -e '/^Static-Built-Using:/d' -e 's/[$]{misc:Depends}, //' -e "s/^Architecture: .*/Architecture: $architecture/" \
    debian/control >"$place/debian/control"
install -m 0644 packaging/deb/conffiles "$tree/DEBIAN"
for name in postinst prerm postrm; do
    script "$name" >"$tree/DEBIAN/$name"
    chmod 0755 "$tree/DEBIAN/$name"
done
# Another architecture's libraries are not installed here: the SDK has what they say of their versions.
libraries=()
if [[ $architecture != "$(dpkg --print-architecture)" ]]; then
    for library in "$(packaging/cross/sdk.sh "$architecture")"/libraries/*; do
        libraries+=("-S$library")
    done
fi
(
    cd "$place"
    export DEB_HOST_ARCH=$architecture
    dpkg-shlibdeps -Tsubstvars "${libraries[@]}" "$tree/usr/sbin/kdump-hotplugd"
    dpkg-gencontrol -Tsubstvars -P"$tree" -O >"$tree/DEBIAN/control"
)
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z |
    xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$place" >>"$place/log"
rm -rf "$tree" "$place/debian"
echo "$place/kdump-hotplugd_${version}_$architecture.deb"
