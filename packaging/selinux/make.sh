#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# packaging/selinux/make.sh: compiles the module with the policy headers of Debian unstable, and makes sure
# that the right to load kernels is in it.

set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p .build/room .build/selinux
rm -rf .build/room/selinux
cp -r packaging/selinux .build/room/selinux
packaging/room check sh -ec '
    cd /exchange/selinux
    make -f /usr/share/selinux/devel/Makefile kdump_hotplugd.pp
    semodule_unpackage kdump_hotplugd.pp kdump_hotplugd.mod
    strings kdump_hotplugd.mod | grep -qx kexec_image_load'
mv .build/room/selinux/kdump_hotplugd.pp .build/selinux
rm -rf .build/room/selinux
echo .build/selinux/kdump_hotplugd.pp
