# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # sdk.sh sets the variables that are not set here
#
# Sourced by sdk.sh: the parts of Swift's libraries that are written in C++ and C. Which files belong
# to a library, and with which definitions they are compiled, is what the CMakeLists.txt beside them
# says for Linux; what only other systems or a backtracer take is left out.

# Definitions of the whole standard library.
definitions=(-DNDEBUG -DSWIFT_ENABLE_REFLECTION -DSWIFT_RUNTIME_ENABLE_LEAK_CHECKER=0 -DSWIFT_STATIC_STDLIB
    -DSWIFT_STDLIB_ENABLE_UNICODE_DATA -DSWIFT_STDLIB_HAS_ENVIRON -DSWIFT_STDLIB_HAS_STDIN
    -DSWIFT_THREADING_LINUX)

# Sets the variables that name the places of a making.
set_places() {
    sources=$work/source/swift
    public=$sources/stdlib/public
    objects=$work/objects
    libraries=$work/sysroot/usr/lib/swift_static
    modules=$libraries/linux
    common=(--target="$target" --sysroot="$work/sysroot" -fPIC -funwind-tables
        "-ffile-prefix-map=$work=/sdk")
    mkdir -p "$objects" "$modules/$machine" "$work/generated/swift/Runtime"
}

# compile LIBRARY FLAGS FILES...: notes how the files of a library are compiled. Objects that an
# earlier run has made are kept.
compile() {
    local library=$1 flags=${2//$'\n'/ } file object compiler
    shift 2
    for file; do
        object=$objects/$library/$(basename "$file").o
        case $file in
            *.c) compiler="$toolchain/clang -O2" ;;
            *) compiler="$toolchain/clang++ -O3 -std=c++17 -fno-rtti -fno-exceptions -fvisibility=hidden" ;;
        esac
        [[ -e $object ]] || printf '%s %s %s -c %s -o %s.new && mv %s.new %s\n' "$compiler" \
            "${common[*]}" "$flags" "$file" "$object" "$object" "$object" >>"$objects/commands"
        mkdir -p "$objects/$library"
    done
}

# Compiles what has been noted, $jobs files at a time.
run_compilers() {
    say "$1 ($(wc -l <"$objects/commands") files)"
    xargs -P "$jobs" -d '\n' -I{} sh -c '{}' <"$objects/commands" >&2
    : >"$objects/commands"
}

# What CMake would write (CMakeConfig.h.in).
write_configuration() {
    local number major=${version%%.*} minor=${version#*.}
    for number in OS_BUILD XCODE_BUILD; do echo "#define SWIFT_BNI_$number 0"; done
    printf '#define SWIFT_VERSION_MAJOR "%s"\n#define SWIFT_VERSION_MINOR "%s"\n' \
        "$major" "${minor%%.*}"
}

compile_core() {
    local flags=$1 runtime all=()
    runtime="-DSWIFT_RUNTIME -DSWIFT_ARCH='\"$machine\"' -DSWIFT_LIB_SUBDIR='\"linux\"'
        -DSWIFT_TARGET_LIBRARY_NAME=swiftRuntimeCore -DSWIFT_INLINE_NAMESPACE=__runtime
        -DSWIFT_STDLIB_ENABLE_VECTOR_TYPES -DSWIFT_STDLIB_HAS_DLADDR -DSWIFT_STDLIB_HAS_DLSYM
        -DSWIFT_STDLIB_HAS_FILESYSTEM -DSWIFT_STDLIB_HAS_TYPE_PRINTING
        -DSWIFT_STDLIB_SHORT_MANGLING_LOOKUPS"
    mapfile -t all < <(find "$public/runtime" -name '*.cpp' ! -name 'Backtrace*' ! -name 'CrashHandler*' \
        ! -name 'SwiftRT-*')
    compile core "$flags $runtime" "${all[@]}" "$public/runtime/SwiftObject.mm" \
        "$public/CompatibilityOverride/CompatibilityOverride.cpp"
    compile core "$flags -DSWIFT_STDLIB_HAS_LOCALE" "$public"/stubs/*.cpp "$public"/stubs/Unicode/*.cpp
    # Three files are called Errors.cpp, so each has a place of its own.
    compile core/demangling "$flags -DSWIFT_INLINE_NAMESPACE=__runtime -DSWIFT_STDLIB_HAS_TYPE_PRINTING" \
        "$sources"/lib/Demangling/{Context,Demangler,Errors,ManglingUtils,NodeDumper,NodePrinter}.cpp \
        "$sources"/lib/Demangling/{Punycode,Remangler}.cpp
    compile core/threading "$flags" "$sources"/lib/Threading/*.cpp
    compile core "$flags -DSWIFT_STDLIB_HAS_COMMANDLINE" \
        "$public"/LLVMSupport/*.cpp "$public/CommandLineSupport/CommandLine.cpp"
    # Conversions of half floats, which gcc's libraries have not.
    compile core "" "$work"/source/llvm-project/compiler-rt/lib/builtins/{extendhfsf2,truncsfhf2,truncdfhf2}.c
    compile registration "$flags -DSWIFT_ENABLE_BACKTRACING=0" "$public/runtime/SwiftRT-ELF-WASM.cpp"
}

# The runtime of async functions runs everything on one thread: there is no libdispatch.
compile_concurrency() {
    local own=$public/Concurrency name files=()
    for name in Actor AsyncLet AsyncStream Clock ConcurrencyHooks EmbeddedSupport Error ExecutorBridge \
        ExecutorChecks ExecutorImpl GlobalExecutor Task TaskAlloc TaskGroup TaskLocal TaskStatus \
        ThreadingError TracingSignpost; do
        files+=("$own/$name.cpp")
    done
    compile concurrency "$1 -DSWIFT_RUNTIME -DSWIFT_TARGET_LIBRARY_NAME=swift_Concurrency
        -D__STDC_WANT_LIB_EXT1__=1 -I$own -I$own/InternalShims" "${files[@]}" \
        "$public/CompatibilityOverride/CompatibilityOverride.cpp"
}

# All objects, below $objects/LIBRARY.
compile_runtime() {
    local flags
    set_places
    : >"$objects/commands"
    write_configuration >"$work/generated/swift/Runtime/CMakeConfig.h"
    flags="${definitions[*]} -fvisibility-inlines-hidden -I$sources/stdlib/include -I$work/generated
        -I$public/runtime -I$sources/include -I$public/SwiftShims -I$sources/stdlib -I$public"
    compile_core "$flags"
    compile_concurrency "$flags"
    compile strings "-I$work/source/swift-experimental-string-processing/Sources/_CUnicode/include
        -I$public/SwiftShims" "$work"/source/swift-experimental-string-processing/Sources/_CUnicode/*.c
    compile foundation "-D_GNU_SOURCE -DNDEBUG -I$work/source/swift-foundation/Sources/_FoundationCShims/include" \
        "$work"/source/swift-foundation/Sources/_FoundationCShims/*.c
    run_compilers "C++ runtime"
    cp "$objects/registration/SwiftRT-ELF-WASM.cpp.o" "$modules/$machine/swiftrt.o"
}
