#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Makes DIRECTORY.md and the plots in DIRECTORY from the raw numbers that Bench wrote there.

usage: report.py DIRECTORY

All of the page is made here, text included, and says when and on which processor each part was measured.
"""

import os
import sys

import comparisons
import figures
import plots
import texts
from figures import MODEL, NOBODY, OURS, grouped, median, milliseconds, p99, ratio, values

PARTS = (
    "windows", "elsewhere", "storms", "dimms", "changes", "blocks", "growth", "rest", "profile", "versions")


def windows(directory, part):
    text = ""
    for (kernel,), lines in grouped(figures.rows(directory, part), "kernel").items():
        initrd, rounds = lines[0]["initrd_mib"], max(int(line["round"]) for line in lines)
        resolution = median(values(lines, "resolution_us"))
        text += texts.WINDOWS.format(
            kernel=kernel, initrd=initrd, rounds=rounds, resolution=resolution)
        body = []
        for (way,), some in grouped(lines, "way").items():
            lock, seen = values(some, "unprotected_us"), values(some, "unloaded_us")
            body.append([way, len(some), *map(milliseconds, (
                median(values(some, "call_us")), median(lock), p99(lock), median(seen), p99(seen))),
                len(some) - len(seen)])
        text += figures.table(
            ["way", "n", "system calls, median", "unprotected, median", "p99",
             "seen unloaded, median", "p99", "missed by the observer"], body) + "\n"
        text += comparisons.windows(lines) + "\n"
    return text


def storms(directory):
    lines = [line for part in ("storms", "dimms", "changes") for line in figures.rows(directory, part)]
    if not lines:
        return ""
    text = texts.STORMS
    plotted = []
    for (kernel, kind, dimms, size), some in grouped(
            lines, "kernel", "kind", "dimms", "dimm_mib").items():
        events = max(int(line["uevents"]) for line in some)
        what = "hot-added" if kind == "growth" else "coming and going at random"
        text += (f"Kernel {kernel}, {dimms} × {int(size) / 1024:g} GiB {what}: {events} uevents within "
                 f"{median(values(some, 'duration_s')):.0f} s.\n\n")
        body = []
        for line in some:
            is_nobody = line["way"] == NOBODY
            body.append([
                line["way"], line["refreshes"], line["own_updates"], line["locking_reads"],
                milliseconds(figures.number(line["unprotected_us"])),
                "all" if is_nobody else f"{100 * float(line['loss']):.1f} %",
                "always" if is_nobody else seconds(line["stale_us"]),
                "forever" if is_nobody else seconds(line["stale_after_us"]),
                seconds(line["cpu_us"]), seconds(line["daemon_cpu_us"]) if OURS in line["way"] else "",
                "" if line["ended"] == "yes" else "cut off"])
        text += figures.table(
            ["way", "refreshes", "kernel updates", "locking reads", "unprotected, ms", "loss", "stale, s",
             "stale after the last event, s", "CPU, s", "of that the daemon, s", ""], body) + "\n"
        text += comparisons.storms(some)
        if kind == "growth" and dimms == "1":
            plotted += [line for line in some if line["way"] != NOBODY]
    if plotted:
        plots.storms(plotted, directory)
        text += "![storms](benchmarks/storms.svg)\n\n"
    return text + texts.STORM_NOTES


def seconds(text):
    return f"{float(text) / 1e6:.2f}" if text else ""


def growth(directory):
    """By blocks from the storms, by initrd and reserved memory from a run of its own."""
    by_blocks, by_initrd, blocks = {}, {}, []
    sources = ["blocks"]
    # Times of different machines are not compared.
    if figures.occasion(directory, "storms") == figures.occasion(directory, "blocks"):
        sources.append("storms")
    storms = [line for name in sources for line in figures.rows(directory, name)
              if line["kernel"] == "6.1" and line["dimms"] == "1" and line["way"] in (OURS, MODEL)]
    for line in sorted(storms, key=lambda line: (line["way"], int(line["dimm_mib"]))):
        count, time = int(line["dimm_mib"]) // 128, float(line["unprotected_us"]) / 1000
        by_blocks.setdefault(line["way"], []).append((count, time))
        each = float(line["daemon_cpu_us"]) / 1000 / int(line["uevents"])
        blocks.append([line["way"], count, f"{time:.2f}", f"{each:.2f}" if each else "",
                       "" if line["ended"] == "yes" else "cut off"])
    lines = figures.rows(directory, "growth")
    body = []
    for (reserved, initrd, way), some in grouped(
            lines, "reserved_mib", "initrd_mib", "way").items():
        time = median(values(some, "unprotected_us"))
        body.append([reserved, initrd, way, milliseconds(time),
                     milliseconds(median(values(some, "unloaded_us")))])
        if reserved == "192":
            by_initrd.setdefault(way, []).append((int(initrd), time / 1000))
    if not body:
        return ""
    plots.growth(by_blocks, by_initrd, directory)
    return ("## How it grows\n\n" + figures.table(
        ["way", "memory blocks hot-added at once", "unprotected in total, ms",
         "CPU of the daemon for each event, ms", ""], blocks)
        + texts.GROWTH
        + figures.table(["reserved, MiB", "initrd, MiB", "way", "unprotected, ms",
                         "seen unloaded, ms"], body) + "\n![growth](benchmarks/growth.svg)\n\n")


def rest(directory):
    if not figures.rows(directory, "rest") + figures.rows(directory, "looks"):
        return ""
    text = "## At rest, and the cost of one look\n\n" + figures.table(
        ["kernel", "process", "RSS, KiB", "anonymous, KiB", "file pages only it maps, KiB",
         "context switches per minute", "start to ready, ms"],
        [[line["kernel"], line["process"], line["rss_kib"], line["anonymous_kib"],
          line["own_files_kib"], line["switches_per_minute"], milliseconds(figures.number(line["start_us"]))]
         for line in figures.rows(directory, "rest")]) + "\n"
    return text + figures.table(
        ["reserved, MiB", "initrd, MiB", "look", "ms", "bytes read"],
        [[line["reserved_mib"], line["initrd_mib"], line["look"],
          milliseconds(figures.number(line["us"])), line["bytes"]]
         for line in figures.rows(directory, "looks")])


def profile(directory):
    """Where the time of a patch goes: medians over the rounds, the largest first."""
    text = ""
    for (kernel, cpus), lines in grouped(
            figures.rows(directory, "profile"), "kernel", "cpus").items():
        body = [[function, f'{median(values(some, "count")):.0f}', milliseconds(median(values(some, "us")))]
                for (function,), some in grouped(lines, "function").items()]
        body.sort(key=lambda line: -float(line[2]))
        text += f"Kernel {kernel}, CPUs: {cpus}, without an observer:\n\n" + figures.table(
            ["kernel function", "calls", "ms"], body) + "\n"
    return texts.PROFILE_HEAD + text if text else ""


def versions(directory):
    """The windows of two builds, on quiet CPUs and on busy ones."""
    body = []
    for (kernel, build, cpus), some in grouped(
            figures.rows(directory, "versions"), "kernel", "build", "cpus").items():
        windows = values(some, "unprotected_us")
        body.append([kernel, build, cpus, len(windows),
                     *map(milliseconds, (median(windows), p99(windows), max(windows)))])
    return texts.VERSIONS + figures.table(
        ["kernel", "build", "CPUs", "patches", "unprotected, median, ms", "p99", "most"],
        body) + "\n" if body else ""


def size(directory):
    """Each pure step on machines of three sizes; the largest last."""
    body = []
    for (step,), some in grouped(figures.rows(directory, "size"), "step").items():
        times = values(some, "us")
        body.append([step, *map(milliseconds, times), ratio(times[-1], times[0])])
    if not body:
        return ""
    sizes = [f"{int(cpus):,} CPUs, {int(ranges):,} ranges, {int(blocks):,} blocks"
             for cpus, ranges, blocks in grouped(
                 figures.rows(directory, "size"), "cpus", "ranges", "blocks")]
    return texts.SIZE + figures.table(["step, ms", *sizes, "the last to the first"], body) + "\n"


def chaos(directory):
    """What crashes at random moments of random storms left, beside the peers."""
    body = [[line["kernel"], line["way"], line["crashes"], line["captured"],
             line["complete"], f'{100 * int(line["complete"]) / int(line["crashes"]):.0f} %',
             line["locked"]]
            for line in figures.rows(directory, "chaos")]
    return texts.CHAOS + figures.table(
        ["kernel", "way", "crashes", "captured", "complete", "", "lost to the kexec lock"],
        body) + "\n" if body else ""


def faults(directory):
    """What became of refreshes in which one call failed; several lines count parts of the same."""
    body = []
    for (refresh, fault), lines in grouped(figures.rows(directory, "faults"), "refresh", "fault").items():
        body.append([refresh, fault, *(sum(int(line[key]) for line in lines) for key in ("tried", "met")),
                     f'{max(float(line["slowest"]) for line in lines):.1f}'])
    return texts.FAULTS + figures.table(
        ["refresh", "what goes wrong", "faults", "met", "right after, s"],
        sorted(body)) + "\n" if body else ""


def main():
    directory = sys.argv[1].rstrip("/")
    name = os.path.basename(directory)
    parts = [part for part in PARTS if figures.rows(directory, part)]
    occasions = {}
    others = [part for part in ("size", "chaos", "faults") if figures.rows(directory, part)]
    for part in parts + others:
        occasions.setdefault(figures.occasion(directory, part), []).append(part)
    page = texts.HEAD.format(
        name=name, parts=" ".join(parts), processors=os.cpu_count(),
        occasions="\n".join(
            f"* {occasion}: {', '.join(some)}" for occasion, some in sorted(occasions.items())))
    lines = figures.rows(directory, "windows")
    if lines:
        plots.windows(lines, directory)
        page += "## One refresh\n\n" + windows(directory, "windows")
        page += "![every refresh](benchmarks/windows.svg)\n\n"
    if figures.rows(directory, "elsewhere"):
        page += texts.ELSEWHERE + windows(directory, "elsewhere")
    page += storms(directory) + chaos(directory) + faults(directory)
    page += growth(directory) + profile(directory) + versions(directory) + rest(directory) + size(directory)
    with open(f"{directory}.md", "w") as file:
        file.write(page)


main()
