# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # sdk.sh sets the variables that are not set here
#
# Sourced by sdk.sh: the source of Swift as Debian has it. It is pinned: what is built from it was
# seen to work on POWER and arm64, and a newer one may not.

version=6.2.3
source_file=swiftlang_$version.orig.tar.xz
source_sum=aecd40a4ffcc7484ba74d0736d4d520b5b45e405bbe0ec5bad68591f1ec4adab

# Downloads the source, 243 MB, or goes on where it was cut off.
fetch_source() {
    local file=$cache/downloads/$source_file
    mkdir -p "$cache/downloads"
    if [[ ! -e $file ]] || ! sha256sum --quiet --check <<<"$source_sum  $file" 2>/dev/null; then
        say "source of Swift $version (243 MB)"
        /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file \
            "$(mirror)pool/main/s/swiftlang/$source_file" "$file" "SHA256:$source_sum" >&2
    fi
}

# Unpacks what is needed of it, 110 MB of 2 GB, into $work/source.
unpack_source() {
    local top=swiftlang-$version header=swift/include/swift/Runtime/SwiftDtoa.h
    fetch_source
    say "unpacking the source"
    rm -rf "$work/source"
    mkdir -p "$work/source"
    tar -xJf "$cache/downloads/$source_file" -C "$work/source" --strip-components=1 \
        "$top"/swift/{stdlib,include,lib/Demangling,lib/Threading,utils} \
        "$top"/llvm-project/compiler-rt/lib/builtins "$top"/swift-experimental-string-processing \
        "$top"/swift-{foundation,collections,testing}
    # The one change: clang knows no _Float16 on POWER.
    sed -i 's/(!defined(FLT16_MAX) || defined(__wasm__))/(!defined(FLT16_MAX) || defined(__wasm__) || defined(__powerpc__))/' \
        "$work/source/$header"
    grep -q '|| defined(__powerpc__))' "$work/source/$header"
}
