# SPDX-License-Identifier: Apache-2.0
"""Reads the raw numbers that Bench wrote, and what is computed from them; no file is written here."""

import csv
import math
import statistics
from collections import defaultdict
from pathlib import Path

OURS = "kdump-hotplugd"
NOBODY = "nobody"
MODEL = "model of the RHEL chain"


def rows(directory, name):
    """The lines of NAME.csv as dictionaries; none where that part was not measured."""
    path = Path(directory) / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def occasion(directory, name):
    """The day on which NAME.csv was measured and the processor, as its first line says."""
    path = Path(directory) / f"{name}.csv"
    first = path.open().readline() if path.exists() else ""
    return first.strip("# \n") if first.startswith("#") else "an unknown day"


def number(text):
    return float(text) if text else None


def grouped(lines, *keys):
    """Lines by the values of some columns, in the order in which these first appear."""
    groups = defaultdict(list)
    for line in lines:
        groups[tuple(line[key] for key in keys)].append(line)
    return groups


def values(lines, column):
    """The numbers of a column; what was not seen is left out and counted by its absence."""
    return [float(line[column]) for line in lines if line[column]]


def median(numbers):
    return statistics.median(numbers) if numbers else None


def p99(numbers):
    """The nearest-rank percentile: of fewer than a hundred it is the largest."""
    return sorted(numbers)[math.ceil(0.99 * len(numbers)) - 1] if numbers else None


def milliseconds(microseconds):
    if microseconds is None:
        return "–"
    value = microseconds / 1000
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def ratio(large, small):
    """How many times larger."""
    if large is None or not small:
        return "–"
    return f"{large / small:,.0f}" if large >= 10 * small else f"{large / small:.1f}"


def table(header, lines):
    """A table of Markdown."""
    text = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    text += ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
    return "\n".join(text) + "\n"
