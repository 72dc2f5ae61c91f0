# SPDX-License-Identifier: Apache-2.0
"""Draws the raw numbers as SVG. Every axis of time is logarithmic: the ways are far apart."""

import matplotlib

matplotlib.use("svg")
# The same numbers must make the same file, and a reader's own fonts must do.
matplotlib.rcParams.update(
    {"svg.hashsalt": "kdump-hotplugd", "svg.fonttype": "none", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402

import figures  # noqa: E402


def save(figure, directory, name):
    figure.tight_layout()
    figure.savefig(f"{directory}/{name}.svg", metadata={"Date": None})
    plt.close(figure)


def windows(lines, directory):
    """One dot for each refresh: the lock as the kernel records it, and what the observer saw."""
    kernels = figures.grouped(lines, "kernel")
    figure, axes = plt.subplots(1, len(kernels), figsize=(10, 3.4), sharey=True, squeeze=False)
    # One list for all: not every kernel updates an image itself, and the axes are shared.
    ways = max((list(figures.grouped(some, "way")) for some in kernels.values()), key=len)
    for axis, ((kernel,), some) in zip(axes[0], kernels.items()):
        for column, colour, shift, label in (
                ("unprotected_us", "tab:red", 0.14, "kexec lock held or nothing loaded"),
                ("unloaded_us", "tab:blue", -0.14, "seen unloaded by the observer")):
            points = [(float(line[column]) / 1000, ways.index((line["way"],)) + shift)
                      for line in some if line[column]]
            if points:
                axis.plot(*zip(*points), ".", color=colour, alpha=0.6, label=label)
        axis.set_xscale("log")
        axis.set_xlabel("unprotected, ms")
        axis.set_title(f"kernel {kernel}")
        axis.set_yticks(range(len(ways)), [way for (way,) in ways])
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].invert_yaxis()
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(0, 0.3), fontsize=7)
    save(figure, directory, "windows")


def storms(lines, directory):
    """What each way makes of the largest storm."""
    columns = (("unprotected_us", "unprotected, s"), ("stale_us", "stale, s"),
               ("cpu_us", "CPU of everything, s"))
    figure, axes = plt.subplots(1, len(columns), figsize=(10, 3), sharey=True)
    names = [f'{line["kernel"]}: {line["way"]}' for line in lines]
    for axis, (column, label) in zip(axes, columns):
        axis.barh(names, [max(float(line[column] or 0), 1) / 1e6 for line in lines],
                  color=["tab:blue" if line["way"] == figures.OURS else "tab:gray"
                         for line in lines])
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.grid(axis="x", alpha=0.3)
    axes[0].invert_yaxis()
    save(figure, directory, "storms")


def growth(by_blocks, by_initrd, directory):
    """how the unprotected time grows with what there is."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2))
    for axis, series, label in (
            (axes[0], by_blocks, "memory blocks hot-added at once"),
            (axes[1], by_initrd, "initrd in MiB")):
        for name, points in series.items():
            axis.plot(*zip(*sorted(points)), "o-", label=name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel(label)
        axis.set_ylabel("unprotected, ms")
        axis.xaxis.set_major_formatter("{x:.0f}")
        axis.grid(alpha=0.3)
        axis.legend(loc="center right", bbox_to_anchor=(1, 0.35), fontsize=7)
    save(figure, directory, "growth")
