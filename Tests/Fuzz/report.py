#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""After Tests/Fuzz/run.sh: makes a small corpus of what it learnt, Tests/Fuzz/corpus.tar.xz, and writes
docs/fuzzing.md: how often each parser was tried, and which of its lines the corpus reaches. Each run adds
a line to docs/fuzzing.csv, so that the page can say how much has been tried in all.

The corpus keeps, for each parser, inputs that reach among them all that any did (libFuzzer's set cover).
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from datetime import date
from pathlib import Path

BUILD = Path(".build/fuzz")
SMALL = BUILD / "small"
SOURCES = sorted(str(path) for path in Path("Sources/Engine").rglob("*.swift"))

HEAD = """# Fuzzing

`make fuzz-long` writes this page. It gives each parser of what the kernel, reserved memory or a
configuration says many inputs, made by libFuzzer under AddressSanitizer. A parser fails by crashing,
by taking more than ten seconds, by reading where it must not, or if a round trip does not come back
as it went.

Measured on {day}: {runs:,} inputs, {crashes} failures. With all runs before it
([fuzzing.csv](fuzzing.csv)): {all_runs:,} inputs, {all_crashes} failures.

| parser | inputs | inputs kept | bytes kept |
|---|---|---|---|
{parsers}

Which lines the kept inputs reach, in the files of which they reach any:

| file | lines | reached |
|---|---|---|
{files}
"""


def run(*command, **variables):
    """Runs a command, and returns what it printed."""
    environment = os.environ | {"SWIFT_BACKTRACE": "enable=no"} | variables
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def parser(target):
    """A parser's line of the table, and its small corpus on the way."""
    kept = SMALL / target
    kept.mkdir(parents=True)
    # What is slow here is no failure of the run; and libFuzzer would write it to the folder it runs in.
    run(BUILD / "fuzz", "-set_cover_merge=1", "-max_len=8192", f"-artifact_prefix={BUILD}/merge-",
        kept, BUILD / "corpus" / target, FUZZ_TARGET=target)
    log = (BUILD / f"{target}.log").read_text()
    runs = int(re.search(r"number_of_executed_units: (\d+)", log).group(1))
    sizes = [file.stat().st_size for file in kept.iterdir()]
    return runs, f"| {target} | {runs:,} | {len(sizes)} | {sum(sizes):,} |"


def coverage(targets):
    """The lines of each file that the small corpora reach."""
    program, profiles = BUILD / "covered", []
    run("swiftc", "-Onone", "-wmo", "-sanitize=fuzzer", "-profile-generate", "-profile-coverage-mapping",
        "@Tests/Fuzz/flags.rsp", *SOURCES, "Tests/Fuzz/Fuzz.swift", "-o", program)
    for target in targets:
        profiles.append(str(BUILD / f"{target}.profraw"))
        run(program, "-runs=0", SMALL / target, FUZZ_TARGET=target, LLVM_PROFILE_FILE=profiles[-1])
    # The versions of these tools must be the compiler's.
    tools = Path(shutil.which("swiftc")).resolve().parent
    run(tools / "llvm-profdata", "merge", "-o", BUILD / "profile", *profiles)
    report = json.loads(run(
        tools / "llvm-cov", "export", "-summary-only", program, "-instr-profile", BUILD / "profile", *SOURCES))
    lines = []
    for file in report["data"][0]["files"]:
        name, sums = os.path.relpath(file["filename"], "Sources/Engine"), file["summary"]["lines"]
        if sums["covered"]:
            lines.append(f"| {name} | {sums['count']} | {sums['percent']:.0f} % |")
    return lines


def total(runs, crashes):
    """Adds this run to those before it, and returns the inputs and failures of all."""
    with open("docs/fuzzing.csv", "a") as record:
        record.write(f"{date.today()},{runs},{crashes}\n")
    rows = [line.split(",") for line in Path("docs/fuzzing.csv").read_text().splitlines()[1:]]
    return sum(int(row[1]) for row in rows), sum(int(row[2]) for row in rows)


def main():
    targets = sorted(path.name for path in (BUILD / "corpus").iterdir())
    shutil.rmtree(SMALL, ignore_errors=True)
    counted = [parser(target) for target in targets]
    with tarfile.open("Tests/Fuzz/corpus.tar.xz", "w:xz") as archive:
        for file in sorted(SMALL.rglob("*")):
            member = archive.gettarinfo(str(file), str(file.relative_to(SMALL)))
            # The same inputs make the same bytes, whoever made them.
            member.mtime = member.uid = member.gid = 0
            member.uname = member.gname = ""
            if file.is_file():
                with file.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)
    runs, crashes = sum(runs for runs, _ in counted), len(list((BUILD / "crashes").iterdir()))
    files = "\n".join(coverage(targets))
    all_runs, all_crashes = total(runs, crashes)
    Path("docs/fuzzing.md").write_text(HEAD.format(
        day=date.today(), runs=runs, crashes=crashes, all_runs=all_runs, all_crashes=all_crashes,
        parsers="\n".join(line for _, line in counted), files=files))


main()
