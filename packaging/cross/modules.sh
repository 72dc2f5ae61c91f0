# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # sdk.sh sets the variables that are not set here
#
# Sourced by sdk.sh: the Swift modules, each an archive and a .swiftmodule. Which files belong to one
# is what the CMakeLists.txt beside them says for Linux; the flags are those without which they do not
# compile, or not to what other modules expect.

# The features that the standard library is written with.
features=(AddressableParameters AddressableTypes AllowUnsafeAttribute BitwiseCopyable Extern
    FreestandingMacros InoutLifetimeDependence LifetimeDependence LifetimeDependenceMutableAccessors Macros
    MemberImportVisibility NoncopyableGenerics2 NonescapableTypes SE427NoInferenceOnExtension
    SuppressedAssociatedTypes TypedThrows ValueGenerics)

# Sets the flags that all modules, and those of the standard library, are compiled with.
set_flags() {
    local line feature
    swift_flags=(-target "$target" -resource-dir "$libraries" -sdk "$work/sysroot"
        -Xcc "--sysroot=$work/sysroot" -Xcc -DSWIFT_STATIC_STDLIB -parse-as-library -static -O -wmo
        -swift-version 5 -suppress-warnings -runtime-compatibility-version none
        -disable-autolinking-runtime-compatibility-dynamic-replacements
        -Xfrontend -disable-autolinking-runtime-compatibility-concurrency
        -Xfrontend -disable-objc-interop -Xfrontend -empty-abi-descriptor -avoid-emit-module-source-info
        -file-prefix-map "$work=/sdk")
    while read -r line; do
        [[ $line == *:* && $line != '#'* ]] || continue
        swift_flags+=(-Xfrontend -define-availability -Xfrontend "$line")
        [[ $line != SwiftStdlib* ]] ||
            swift_flags+=(-Xfrontend -define-availability
                -Xfrontend "StdlibDeploymentTarget${line#SwiftStdlib}")
    done <"$sources/utils/availability-macros.def"
    standard_flags=(-parse-stdlib -library-level api -strict-memory-safety -no-link-objc-runtime
        -Xfrontend -enable-lexical-lifetimes=false -Xfrontend -enforce-exclusivity=unchecked
        -Xfrontend -enable-ossa-modules -Xfrontend -target-min-inlining-version -Xfrontend min
        -Xfrontend -prespecialize-generic-metadata -DSWIFT_ENABLE_REFLECTION
        -DSWIFT_STDLIB_ENABLE_UNICODE_DATA -DSWIFT_STDLIB_ENABLE_VECTOR_TYPES -DSWIFT_STDLIB_HAS_ENVIRON
        -DSWIFT_STDLIB_HAS_STDIN)
    for feature in "${features[@]}"; do
        standard_flags+=(-enable-experimental-feature "$feature")
    done
    # Modules that are compiled before those two exist.
    early=(-Xfrontend -disable-implicit-concurrency-module-import
        -Xfrontend -disable-implicit-string-processing-module-import)
}

# module NAME LIBRARY ARGUMENTS...: compiles a module whose users link with LIBRARY.
module() {
    local name=$1 library=$2
    shift 2
    say "$name"
    mkdir -p "$modules/$name.swiftmodule"
    "$toolchain/swiftc" "${swift_flags[@]}" -module-name "$name" -module-link-name "$library" \
        -emit-module -emit-module-path "$modules/$name.swiftmodule/$target.swiftmodule" \
        -c -o "$objects/$name.o" "$@" >&2
}

# archive LIBRARY OBJECTS...: makes the library.
archive() {
    rm -f "$modules/lib$1.a"
    "$toolchain/llvm-ar" rcsD "$modules/lib$1.a" "${@:2}"
}

# The objects that compile_runtime made for a library.
objects_of() { find "$objects/$1" -name '*.o' | sort; }

# generated FILE.swift.gyb: expands a template, and prints where.
generated() {
    local output=$work/generated/${1##*/}
    output=${output%.gyb}
    PYTHONDONTWRITEBYTECODE=1 python3 "$sources/utils/gyb.py" --line-directive '' -DCMAKE_SDK=LINUX \
        -DCMAKE_SIZEOF_VOID_P=8 -o "$output" "$1"
    echo "$output"
}

# listed DIRECTORY...: the Swift files that are named by the CMakeLists.txt of a directory, or of one below
# it, and that exist.
listed() {
    local list name
    find "$@" -name CMakeLists.txt | sort | while read -r list; do
        grep -oE '[A-Za-z_][^"()]*\.swift' "$list" | sort -u | while read -r name; do
            name=${name//\\/}
            [[ ! -f ${list%/*}/$name ]] || echo "${list%/*}/$name"
        done
    done
}

make_swift() {
    local core=$public/core files=() file
    while read -r _ file _; do
        case $file in
            *.gyb) files+=("$(generated "$core/$file")") ;;
            *) files+=("$core/$file") ;;
        esac
    done < <(grep -E '^ *(EMBEDDED|NORMAL) +[A-Za-z0-9/+]+\.swift' "$core/CMakeLists.txt")
    for file in SIMDConcreteOperations SIMDVectorTypes; do
        files+=("$(generated "$core/$file.swift.gyb")")
    done
    module Swift swiftCore "${standard_flags[@]}" "${early[@]}" -nostdimport -DSWIFT_STDLIB_HAS_COMMANDLINE \
        -Xfrontend -enable-experimental-concise-pound-file \
        -Xfrontend -group-info-path -Xfrontend "$core/GroupInfo.json" \
        -Xfrontend -disable-objc-attr-requires-foundation-module \
        -Xfrontend -require-explicit-availability=ignore \
        -Xllvm -sil-inline-generics -Xllvm -sil-partial-specialization \
        "${files[@]}" "$core/SIMDVector.swift"
    mapfile -t files < <(objects_of core)
    archive swiftCore "${files[@]}" "$objects/Swift.o"
}

# What code that is not optimised links with.
make_onone() {
    module SwiftOnoneSupport swiftSwiftOnoneSupport "${standard_flags[@]}" "${early[@]}" \
        -Xllvm -sil-inline-generics=false -Xfrontend -validate-tbd-against-ir=none \
        -Xfrontend -check-onone-completeness -Xfrontend -disable-access-control \
        "$public/SwiftOnoneSupport/SwiftOnoneSupport.swift"
    archive swiftSwiftOnoneSupport "$objects/SwiftOnoneSupport.o"
}

make_glibc() {
    local platform=$public/Platform name
    for name in glibc.modulemap SwiftGlibc.h; do
        cp "$(generated "$platform/$name.gyb")" "$modules/$machine/"
    done
    module _Builtin_float swift_Builtin_float "${early[@]}" "$(generated "$public/ClangOverlays/float.swift.gyb")"
    archive swift_Builtin_float "$objects/_Builtin_float.o"
    module Glibc swiftGlibc "${early[@]}" "$platform"/{Platform,TiocConstants,POSIXError}.swift \
        "$(generated "$platform/tgmath.swift.gyb")" "$(generated "$platform/Glibc.swift.gyb")" \
        "$here/TerminalSize.swift"
    archive swiftGlibc "$objects/Glibc.o"
    # What is linked with a static standard library; libatomic for atomics of 16 bytes.
    printf '%s\n' -ldl -lpthread -lswiftCore -Wl,-Bstatic -lstdc++ -latomic -Wl,-Bdynamic -lm \
        >"$modules/static-stdlib-args.lnk"
}

make_synchronization() {
    local own=$public/Synchronization
    module Synchronization swiftSynchronization "${early[@]}" -enable-builtin-module \
        -enable-experimental-feature RawLayout -enable-experimental-feature StaticExclusiveOnly \
        -enable-experimental-feature Extern \
        "$own"/Atomics/*.swift "$own/Cell.swift" "$own"/Mutex/{Mutex,LinuxImpl,SpinLoopHint}.swift \
        "$(generated "$own/Atomics/AtomicIntegers.swift.gyb")" \
        "$(generated "$own/Atomics/AtomicStorage.swift.gyb")"
    archive swiftSynchronization "$objects/Synchronization.o"
}

make_concurrency() {
    local own=$public/Concurrency files=() file
    for file in "$own"/*.swift "$own"/Deque/*.swift; do
        # Of the executors that platforms have, only the one on one thread.
        case ${file##*/} in
            PlatformExecutorCooperative.swift) files+=("$file") ;;
            PlatformExecutor* | CFExecutor* | DispatchExecutor*) ;;
            *) files+=("$file") ;;
        esac
    done
    for file in "$own"/*.gyb; do files+=("$(generated "$file")"); done
    module _Concurrency swift_Concurrency "${standard_flags[@]}" "${early[@]}" \
        -enable-experimental-feature IsolatedAny -Xcc "-I$own/InternalShims" -I "$own/InternalShims" \
        "${files[@]}"
    mapfile -t files < <(objects_of concurrency)
    archive swift_Concurrency "${files[@]}" "$objects/_Concurrency.o"
}

make_strings() {
    local own=$work/source/swift-experimental-string-processing/Sources files
    mapfile -t files < <(find "$own/_RegexParser" -name '*.swift' | sort)
    module _RegexParser swift_RegexParser "${early[@]}" "${files[@]}"
    archive swift_RegexParser "$objects/_RegexParser.o"
    mapfile -t files < <(find "$own/_StringProcessing" -name '*.swift' | sort)
    module _StringProcessing swift_StringProcessing "${early[@]}" \
        -Xfrontend -public-autolink-library -Xfrontend swift_RegexParser \
        -I "$own/_CUnicode/include" "${files[@]}"
    mapfile -t files < <(objects_of strings)
    archive swift_StringProcessing "${files[@]}" "$objects/_StringProcessing.o"
}

make_collections() {
    local own=$work/source/swift-collections/Sources files
    mapfile -t files < <(listed "$own"/{InternalCollectionsUtilities,RopeModule,OrderedCollections})
    module _FoundationCollections _FoundationCollections -DCOLLECTIONS_SINGLE_MODULE \
        -Xfrontend -allowable-client -Xfrontend FoundationEssentials "${files[@]}"
    archive _FoundationCollections "$objects/_FoundationCollections.o"
}

make_foundation() {
    local own=$work/source/swift-foundation/Sources files name flags=()
    mapfile -t files < <(objects_of foundation)
    archive _FoundationCShims "${files[@]}"
    mkdir -p "$libraries/_FoundationCShims"
    cp "$own"/_FoundationCShims/include/* "$libraries/_FoundationCShims/"
    for name in 6.0.2 6.1 6.2; do
        flags+=(-enable-experimental-feature
            "AvailabilityMacro=FoundationPreview $name:macOS 15, iOS 18, tvOS 18, watchOS 11")
    done
    for name in AccessLevelOnImport AddressableTypes AllowUnsafeAttribute BuiltinModule LifetimeDependence \
        StrictConcurrency VariadicGenerics; do
        flags+=(-enable-experimental-feature "$name")
    done
    for name in InferSendableFromCaptures MemberImportVisibility; do flags+=(-enable-upcoming-feature "$name"); done
    # Programs that link one must link the others.
    for name in _FoundationCShims _FoundationCollections swiftSynchronization; do
        flags+=(-Xfrontend -public-autolink-library -Xfrontend "$name")
    done
    mapfile -t files < <(listed "$own/FoundationEssentials")
    module FoundationEssentials FoundationEssentials -Xcc -D_GNU_SOURCE -package-name SwiftFoundation \
        -plugin-path "$toolchain/../lib/swift/host/plugins" "${flags[@]}" "${files[@]}"
    archive FoundationEssentials "$objects/FoundationEssentials.o"
}

# All modules, in the order in which they need each other.
make_modules() {
    local name
    mkdir -p "$libraries/shims"
    # The headers that belong to the library's source, not those of the toolchain, which is newer.
    cp "$public"/SwiftShims/swift/shims/*.h "$public/SwiftShims/swift/shims/module.modulemap" \
        "$libraries/shims/"
    for name in clang apinotes; do
        ln -sfn "$(readlink -f "$toolchain/../lib/swift/$name")" "$libraries/$name"
    done
    set_flags
    once swift make_swift
    together onone glibc
    together synchronization concurrency strings
    once collections make_collections
    once foundation make_foundation
}

# together NAMES...: makes modules that do not need each other, at the same time.
together() {
    local name job running=()
    for name; do
        once "$name" "make_$name" &
        running+=($!)
    done
    for job in "${running[@]}"; do wait "$job"; done
}
