# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2034 # common.sh, apt.sh and those that source this share variables with it
#
# Sourced by keys-kernel.sh and file-kernel.sh: builds a kernel that Debian does not have, from Debian's
# own source, with Debian's configuration without its modules, and with what small.config and a file of
# the kernel's own change in it. Those that source it set:
#   from, image      the suite of the source, and Debian's package of the kernel whose version it has
#   configuration    Debian's configuration of it, by its name in the package linux-config
#   own_config       the file with what is otherwise, beside small.config
#   wanted           the options without which it would be of no use
#   build_options    arguments of make
#   adapt_source     a function that changes the source in "$work/source"; it may do nothing

# What a kernel's build runs, beside what .ci/dependencies installs anyway.
build_packages=(make flex bison bc pahole libelf-dev xz-utils cpio)

version_of() { of_suite "$from" cache show --no-all-versions "$1" | sed -n 's/^Version: //p'; }

# A key for everything that goes into the kernel; the arguments are more of it.
kernel_key() {
    {
        declare -f fetch_source adapt_source configure reconfigure build
        cat "$here/small.config" "$here/$own_config"
        version_of "$image"
        "${compiler:-gcc}" -dumpfullversion
        pahole --version
        printf '%s\n' "$configuration" "${build_options[@]}" "${wanted[@]}" "$@"
    } | sha256sum | cut -c1-16
}

# Fetches the source and the configurations of that version, into "$work".
fetch_source() {
    local series version package
    series=$(grep -oE '[0-9]+\.[0-9]+' <<<"$image" | head -n 1)
    version=$(version_of "$image")
    say "source of kernel $version"
    mkdir "$work"/{packages,source,out}
    (cd "$work/packages" &&
        of_suite "$from" get download "linux-source-$series=$version" "linux-config-$series=$version")
    for package in "$work/packages"/*.deb; do dpkg-deb -x "$package" "$work/packages"; done
    tar -C "$work/source" --strip-components=1 \
        -xf "$work/packages/usr/src/linux-source-$series.tar.xz"
    adapt_source
    xz -dc "$work/packages/usr/src/linux-config-$series/config.$configuration.xz" >"$work/out/.config"
    rm -r "$work/packages"
}

build() {
    nice -n 19 make -s -C "$work/source" "O=$work/out" "${build_options[@]}" "-j$(nproc)" "$@"
}

# Debian's configuration without its modules, and with what is otherwise; the arguments are more of it.
configure() {
    build mod2noconfig
    cat "$here/small.config" "$here/$own_config" >>"$work/out/.config"
    reconfigure "$@"
}

# Adds lines to the configuration, and makes sure that they hold.
reconfigure() {
    local line
    printf '%s\n' "$@" >>"$work/out/.config"
    build olddefconfig
    for line in "$@" "${wanted[@]/#/CONFIG_}"; do
        [[ $line == *[=\ ]* ]] || line="$line=y"
        grep -qxF "$line" "$work/out/.config" ||
            { echo "the kernel would be built without $line" >&2 && return 1; }
    done
}
