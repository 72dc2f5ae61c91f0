#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/rpm/make.sh: packages what `make build` built as
# .build/rpm/kdump-hotplugd-VERSION-1.ARCHITECTURE.rpm. It needs a glibc and libraries that are no
# older than those of the build machine. packaging/rpm/source.sh builds from the source archive, as
# Fedora and SUSE would.

set -euo pipefail
cd "$(dirname "$0")/../.."

umask 022
version=$(packaging/version)
place=$PWD/.build/rpm
rm -rf "$place"
mkdir -p "$place"
rpmbuild -bb --with tree --quiet --nodeps --load=packaging/rpm/macros \
    --define "_topdir $place/work" --define "_rpmdir $place" \
    --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define "program_version $version" --define "program_source $PWD" \
    packaging/rpm/kdump-hotplugd.spec >"$place/log" 2>&1 || { cat "$place/log" >&2; exit 1; }
rm -rf "$place/work"
echo "$place"/*.rpm
