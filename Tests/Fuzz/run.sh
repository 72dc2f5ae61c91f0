#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes every parser for a bounded time: run.sh [SECONDS-EACH [TARGET...]], 60 s each by default.
#
# It begins with Tests/Fuzz/corpus.tar.xz, what earlier runs have learnt. What this one learns stays in
# .build/fuzz/corpus, so that the next one begins where it ended; an input that crashes a parser stays in
# .build/fuzz/crashes, and becomes a fixture of the unit tests. report.py makes a small corpus of it.

set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
((${#targets[@]})) || targets=(iomem kallsyms kcore types header regions image parameters shell tree contents entry)
build=.build/fuzz
program=$build/fuzz
limit=-max_total_time=$seconds
# A crash must end the process, not wait for somebody to look at it.
export SWIFT_BACKTRACE=enable=no

mkdir -p "$build/crashes"
mapfile -t sources < <(find Sources/Engine -name '*.swift' | sort)
newest=$(find "${sources[@]}" Tests/Fuzz \( -name '*.s[wh]*' -o -name '*.rsp' \) -newer "$program" -print -quit 2>/dev/null || echo none)
if [[ ! -x $program || -n $newest ]]; then
    swiftc -O -wmo -sanitize=fuzzer,address @Tests/Fuzz/flags.rsp "${sources[@]}" Tests/Fuzz/Fuzz.swift \
        -o "$program"
fi

# The first inputs: what earlier runs have learnt, real ones, and this machine's own files.
[[ -d $build/corpus ]] || { mkdir -p "$build/corpus" && tar -xf Tests/Fuzz/corpus.tar.xz -C "$build/corpus"; }
seed() {
    local corpus=$build/corpus/$1 file
    mkdir -p "$corpus"
    case $1 in
        iomem) file=/proc/iomem ;;
        kallsyms) file=/proc/kallsyms ;;
        *) file= ;;
    esac
    [[ -z $file || ! -r $file ]] || head -c 4096 "$file" >"$corpus/seed"
    [[ ! -d Tests/Fuzz/seeds/$1 ]] || cp Tests/Fuzz/seeds/"$1"/* "$corpus/"
}

# Fuzzes one parser.
fuzz() {
    seed "$1"
    if ! FUZZ_TARGET=$1 "$program" "$build/corpus/$1" "$limit" \
        -max_len=8192 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$build/crashes/$1-" >"$build/$1.log" 2>&1; then
        tail -20 "$build/$1.log"
        return 1
    fi
    printf '[fuzz] %s: %s inputs\n' "$1" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$1.log")"
}

# As many at a time as there are processors.
processors=$(nproc)
running=0
status=0
reap() {
    wait -n || status=1
    running=$((running - 1))
}
for target in "${targets[@]}"; do
    ((running < processors)) || reap
    fuzz "$target" &
    running=$((running + 1))
done
while ((running)); do reap; done
exit "$status"
