# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by make.sh: packages of this machine's Debian suite, from apt as it is set up here, and of
# other suites and of another architecture, without making them known to this machine. For those apt gets
# lists of its own below the cache, and the mirror that this machine's own packages come from.

# Debian's name of the architecture whose packages are wanted; empty for this machine's own.
architecture=${architecture:-}
lists=${cache:?}/apt${architecture:+-$architecture}
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

# Debian's own sources as this machine has them, so that its mirrors and its pinned dates hold.
debian_sources() {
    find /etc/apt -maxdepth 2 -type f \( -name '*.list' -o -name '*.sources' \) \
        -exec grep -lE "^(deb |Suites:).*\b$suite\b" {} +
}

# The mirror that this machine's packages of Debian come from; apt knows when it has its lists.
mirror() {
    # shellcheck disable=SC2016 # it is apt that expands this
    apt-get indextargets 'Created-By: Packages' 'Origin: Debian' "Codename: $suite" \
        'Component: main' --format '$(REPO_URI)' | head -n 1
}

# Whether packages of a suite are not what this machine's own apt knows.
is_elsewhere() { [[ -n $architecture || $1 != "$suite" ]]; }

# of_suite SUITE get|cache ARGUMENTS...: apt-get or apt-cache for a suite.
of_suite() {
    local from=$1 tool=apt-$2 own=$lists/$1
    local options=(-qq -o APT::Sandbox::User=root)
    shift 2
    ! is_elsewhere "$from" || options+=(
        -o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$own/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$own/cache"
        -o Acquire::Languages=none)
    [[ -z $architecture ]] ||
        options+=(-o APT::Architecture="$architecture" -o APT::Architectures="$architecture")
    "$tool" "${options[@]}" "$@"
}

# Fetches the lists of another suite anew if they are older than a day. Where there is no network,
# old ones are better than none.
refresh_lists() {
    local from=$1 own=$lists/$1 uri
    is_elsewhere "$from" && [[ -z $(find "$own/fresh" -mtime -1 2>/dev/null) ]] || return 0
    uri=$(mirror)
    if [[ -z $uri ]]; then
        apt_get update -qq
        uri=$(mirror)
    fi
    say "lists of $from"
    mkdir -p "$own"/{lists,cache/archives}/partial
    printf 'deb [signed-by=%s] %s %s main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$from" >"$own/sources.list"
    if of_suite "$from" get update; then
        touch "$own/fresh"
    elif [[ ! -e $own/fresh ]]; then
        return 1
    fi
}

# The names that a package of a suite depends on and that match a pattern.
dependencies() {
    of_suite "$1" cache show --no-all-versions "$2" | sed -n 's/^Depends: //p' |
        grep -oE "(^|, )$3[^ ,]*" | sed 's/^, //'
}

# fetch_kernel NAME METAPACKAGE SUITE INTO: the newest kernel of a metapackage, laid out below INTO as
# boot/vmlinuz-VERSION (on POWER until 6.12 vmlinux-VERSION) and lib/modules/VERSION. Since 7.x the image lies beside the modules, and each
# in a package of its own.
fetch_kernel() {
    local name=$1 metapackage=$2 from=$3 into=$4 packages package version
    packages=$(dependencies "$from" "$metapackage" linux-image-)
    say "kernel $name: $packages"
    packages+=" $(dependencies "$from" "$packages" 'linux-(base|binary|modules)-[0-9]' || true)"
    mkdir -p "$into"/{boot,packages}
    # shellcheck disable=SC2086 # one word a package
    (cd "$into/packages" && of_suite "$from" get download $packages)
    for package in "$into/packages"/*.deb; do dpkg-deb -x "$package" "$into"; done
    rm -r "$into/packages"
    if [[ -d $into/usr/lib/modules ]]; then
        mkdir -p "$into/lib"
        mv "$into/usr/lib/modules" "$into/lib/"
        version=$(ls "$into/lib/modules")
        mv "$into/lib/modules/$version"/vmlinu[xz] "$into/boot/"
        for package in "$into"/boot/vmlinu[xz]; do mv "$package" "$package-$version"; done
    fi
}
