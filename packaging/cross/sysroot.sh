# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # sdk.sh sets the variables that are not set here
#
# Sourced by sdk.sh: the headers and libraries that a program for POWER is built with. They are those
# of Debian 12, whatever runs here, so that the package works there and on everything newer. apt gets
# lists of its own for them, below the cache, and verifies what it downloads by Debian's signature.

debian=bookworm
# What programs are linked with, and what those libraries need when unit tests run.
sysroot_packages=(linux-libc-dev libc6-dev libc6 libgcc-12-dev libgcc-s1 libstdc++-12-dev libstdc++6
    libudev-dev libudev1 libsystemd-dev libsystemd0 libssl-dev libssl3
    libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1)

# elsewhere get|cache ARGUMENTS...: apt-get or apt-cache for Debian on the architecture.
elsewhere() {
    local tool=apt-$1 own=$cache/apt-$architecture
    shift
    "$tool" -qq -o APT::Sandbox::User=root -o APT::Architecture="$architecture" \
        -o APT::Architectures="$architecture" \
        -o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$own/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$own/cache" \
        -o Acquire::Languages=none "$@"
}

# The mirror that this machine's own packages of Debian come from; apt knows when it has its lists.
mirror() {
    # shellcheck disable=SC2016 # it is apt that expands this
    apt-get indextargets 'Created-By: Packages' 'Origin: Debian' 'Component: main' \
        --format '$(REPO_URI) $(SUITE)' | sed -n '/ .*security/!s/ .*//p' | head -n 1
}

# Fetches the lists anew if they are older than a day. Where there is no network, old ones are better
# than none.
refresh_lists() {
    local own=$cache/apt-$architecture uri
    [[ -z $(find "$own/fresh" -mtime -1 2>/dev/null) ]] || return 0
    uri=$(mirror)
    if [[ -z $uri ]]; then
        "$here/../../.ci/apt-get" update -qq >&2
        uri=$(mirror)
    fi
    mkdir -p "$own"/{lists,cache/archives}/partial
    printf 'deb [signed-by=%s] %s %s main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$debian" >"$own/sources.list"
    if elsewhere get update >&2; then
        touch "$own/fresh"
    elif [[ ! -e $own/fresh ]]; then
        say "The packages of Debian for $architecture are not to be had: is there a network?"
        return 1
    fi
}

# The versions of all packages, for the key.
sysroot_versions() { elsewhere cache policy "${sysroot_packages[@]}" | grep -e '^[^ ]' -e Candidate:; }

# Lays out the packages below $work/sysroot. What dpkg-shlibdeps needs of each library stays in
# $work/libraries.
make_sysroot() {
    local sysroot=$work/sysroot packages=$work/packages package link
    say "packages of Debian"
    rm -rf "$sysroot" "$packages" "$work/libraries"
    mkdir -p "$sysroot" "$packages" "$work/libraries"
    (cd "$packages" && elsewhere get download "${sysroot_packages[@]}" >&2)
    for link in bin lib lib64 sbin; do
        mkdir -p "$sysroot/usr/$link"
        ln -s "usr/$link" "$sysroot/$link"
    done
    for package in "$packages"/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$sysroot"
        keep_dependencies "$package"
    done
    # Links of Debian's lead out of a sysroot where they are absolute.
    find "$sysroot" -type l -lname '/*' -printf '%p %l\n' | while read -r link package; do
        ln -sfnr "$sysroot$package" "$link"
    done
    rm -r "$packages"
}

# Keeps what a library says of its versions, in the form of a package that is being built.
keep_dependencies() {
    local name place
    name=$(dpkg-deb -f "$1" Package)
    [[ $name == lib* && $name != *-dev ]] || return 0
    place=$work/libraries/$name
    dpkg-deb --fsys-tarfile "$1" | (mkdir -p "$place" && tar -x -C "$place" --wildcards '*.so.*')
    dpkg-deb -e "$1" "$place/DEBIAN"
}
