#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Makes DIRECTORY.md and the plots in DIRECTORY of the raw numbers that Bench wrote there.

usage: report.py DIRECTORY

All of the page is made here, its sentences included, so that no number in it is older than the run.
What was to be reached is put beside what was measured, either way.
"""

import os
import sys

import figures
import plots
from figures import MODEL, OURS, grouped, median, milliseconds, p99, ratio, values

# Whose way of following events the daemon's is to be better than.
PEERS = (MODEL, "Debian's rule let through")
PARTS = ("windows", "storms", "blocks", "growth", "rest", "profile")

HEAD = """# Benchmarks

Made by `make bench PARTS="{parts}"`, sentences included; the raw numbers are in [{name}]({name}/) as
CSV.

**The machine:** {processors} processors ({model}), {memory} GiB of memory, no hardware
virtualisation: every guest is emulated in software (QEMU's TCG), so times are good for comparing with
each other, and only those of the same kernel. Guests are stock Debian 12 with 2 CPUs; what they
compare takes turns in one guest. Storms have a guest each, booted alike, because plugging out so much
memory would be a storm itself.

**Without protection** is the time in which a panic gets no dump: from taking the kexec lock to
releasing it, by kprobe events around `do_kexec_load` (a `kexec_file_load` holds the lock from end to
end); where a way unloads first, from the beginning of the unload to the end of the load. **Seen
unloaded** is what a process outside of all of them saw that read `/sys/kernel/kexec_crash_loaded` as
fast as it could, from the last poll before to the first after. It has the second CPU, and thereby keeps
it awake: a sleeping emulated CPU takes up to milliseconds to answer the flush of translations that
every way of loading makes it do.

"""


def windows(directory):
    text = "## One refresh\n\n"
    for (kernel,), lines in grouped(figures.rows(directory, "windows"), "kernel").items():
        initrd, rounds = lines[0]["initrd_mib"], max(int(line["round"]) for line in lines)
        resolution = median(values(lines, "resolution_us"))
        text += (f"Kernel {kernel}, initrd of {initrd} MiB, {rounds} rounds; the observer polled every "
                 f"{resolution:.0f} µs. Milliseconds:\n\n")
        body = []
        for (way,), some in grouped(lines, "way").items():
            lock, seen = values(some, "unprotected_us"), values(some, "unloaded_us")
            body.append([way, len(some), *map(milliseconds, (
                median(values(some, "call_us")), median(lock), p99(lock), median(seen), p99(seen))),
                len(some) - len(seen)])
        text += figures.table(
            ["way", "n", "system calls, median", "without protection, median", "p99",
             "seen unloaded, median", "p99", "missed by the observer"], body) + "\n"
        text += window_ratios(lines) + "\n"
    return text + "![every refresh](benchmarks/windows.svg)\n\n"


def window_ratios(lines):
    """How many times shorter the patch is than the ways it is to be compared with."""
    body = []
    for peer, target, image in (
            ("kexec -s -p", 300, "kexec_file_load"), ("kexec -c -p", 20, "kexec_load"),
            ("the kernel's own updates at that event", 1, "kexec_file_load")):
        if peer not in [line["way"] for line in lines]:
            continue
        cells = []
        for column in ("call_us", "unprotected_us", "unloaded_us"):
            theirs, ours = (median(values([x for x in lines if x["way"] == way], column))
                            for way in (peer, f"patch of a {image} image"))
            cells.append(ratio(theirs, ours))
        body.append([peer, f"≥ {target}", *cells])
    return figures.table(
        ["a patch is so many times shorter than", "to be reached", "system call",
         "without protection", "seen unloaded"], body)


def storms(directory):
    if not figures.rows(directory, "storms"):
        return ""
    text = "## Storms\n\n"
    plotted = []
    lines = figures.rows(directory, "storms")
    for (kernel, dimms, size), some in grouped(lines, "kernel", "dimms", "dimm_mib").items():
        events = max(int(line["uevents"]) for line in some)
        text += (f"Kernel {kernel}, {dimms} × {int(size) / 1024:g} GiB plugged in: {events} uevents, "
                 f"online within {median(values(some, 'online_s')):.0f} s.\n\n")
        body = []
        for line in some:
            is_nobody = line["way"] == "nobody"
            body.append([
                line["way"], line["refreshes"], line["own_updates"], line["locking_reads"],
                milliseconds(figures.number(line["unprotected_us"])),
                "always" if is_nobody else seconds(line["stale_us"]),
                "for ever" if is_nobody else seconds(line["stale_after_us"]),
                seconds(line["cpu_us"]), seconds(line["daemon_cpu_us"]) if line["way"] == OURS else "",
                "" if line["ended"] == "yes" else "cut off"])
        text += figures.table(
            ["way", "refreshes", "the kernel's own", "locking reads", "without protection, ms", "stale, s",
             "after the last event, s", "CPU, s", "of it the daemon", ""], body) + "\n"
        text += storm_ratios(some)
        if len(some) > 3:
            plotted += [line for line in some if line["way"] != "nobody"]
    if plotted:
        plots.storms(plotted, directory)
        text += "![storms](benchmarks/storms.svg)\n\n"
    return text + STORM_NOTES


STORM_NOTES = """*Stale*: memory is online that the loaded core header does not have, or nothing is
loaded, or a load is under way; a sampler reads the header in reserved memory every 2 ms. *Locking
reads*: of files that take the kexec lock, `crash_hotplug` and `kexec_crash_size`. *CPU*: of all
services and the service manager; what it is with *nobody* is udevd's handling of the events.
*The kernel by itself* is what the daemon leaves to itself where it works: it takes the image away and
writes it anew at each memory block. That is no peer in the comparison, because it loads nothing and
does not help images that it does not keep up. *Debian's rule let through*: as shipped it does nothing,
because systemd-udevd forbids its children to load; here a drop-in with `SystemCallFilter=@reboot` lets
it. A line that is *cut off* had not ended 240 s after the last memory was online; its figures are of
what it had done by then. *The model of the RHEL chain* is a script of our own that does what is
documented: one `systemd-run` for each event, one second and up to three for udev to settle, unload,
load.

"""


def storm_ratios(lines):
    """Ours against the best of the others, figure by figure."""
    ours = next((line for line in lines if line["way"] == OURS), None)
    peers = [line for line in lines if line["way"] in PEERS]
    if ours is None or not peers:
        return ""
    body = [["refreshes", "≤ 12", ours["refreshes"], ""]]
    for column, words, target in (
            ("unprotected_us", "time without protection", 1000),
            ("stale_after_us", "stale after the last event", 10), ("cpu_us", "CPU", 20)):
        best = min(peers, key=lambda line: float(line[column]))
        theirs, mine = float(best[column]), float(ours[column])
        body.append([words, f"≤ 1/{target} of the best peer's",
                     f"1/{ratio(theirs, mine)}" if mine else "none at all", best["way"]])
    return figures.table(["ours", "to be reached", "measured", "best peer"], body) + "\n"


def seconds(text):
    return f"{float(text) / 1e6:.2f}" if text else ""


def growth(directory):
    """By blocks from the storms, by initrd and reserved memory from a run of its own."""
    by_blocks, by_initrd, blocks = {}, {}, []
    storms = [line for line in figures.rows(directory, "storms") + figures.rows(directory, "blocks")
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
        ["way", "memory blocks plugged in at once", "without protection in all, ms",
         "CPU of the daemon for each event, ms", ""], blocks)
        + "\nThat time has a part which does not grow: the digest is made once before a storm's first\n"
        + "patch, where it is not known, and once after its last.\n\n"
        + figures.table(["reserved, MiB", "initrd, MiB", "way", "without protection, ms",
                         "seen unloaded, ms"], body) + "\n![growth](benchmarks/growth.svg)\n\n")


def rest(directory):
    if not figures.rows(directory, "rest") + figures.rows(directory, "looks"):
        return ""
    text = "## At rest, and one look\n\n" + figures.table(
        ["kernel", "process", "RSS, KiB", "its own, KiB", "of files nobody else maps, KiB",
         "context switches a minute", "start, ms"],
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
        text += f"Kernel {kernel}, CPUs: {cpus}, with no observer:\n\n" + figures.table(
            ["function of the kernel", "calls", "ms"], body) + "\n"
    return PROFILE_HEAD + text if text else ""


PROFILE_HEAD = """## Where the time of a patch goes

Kprobe events on more functions, which cost time themselves; a function contains the ones it calls. What
the list of segments decides is `kimage_load_segment`. Nearly all the rest is the kernel making reserved
memory writable before and read-only after, as every way of loading makes it:
`smp_call_function_many_cond` is the time in which it waits until all other CPUs have flushed their
translations, six times for a patch.

"""


def machine():
    """The machine in words: nothing that names it."""
    models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
              if line.startswith("model name")]
    kib = int(open("/proc/meminfo").readline().split()[1])
    return {"processors": os.cpu_count(), "model": models[0] if models else "unknown",
            "memory": round(kib / 2**20)}


def main():
    directory = sys.argv[1].rstrip("/")
    name = os.path.basename(directory)
    parts = " ".join(part for part in PARTS if figures.rows(directory, part))
    page = HEAD.format(name=name, parts=parts, **machine())
    lines = figures.rows(directory, "windows")
    if lines:
        plots.windows(lines, directory)
        page += windows(directory)
    page += storms(directory) + growth(directory)
    page += profile(directory) + rest(directory)
    with open(f"{directory}.md", "w") as file:
        file.write(page)


main()
