#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""reserved-memory.py: draws reserved memory before and after a patch, as SVG on standard output.

The image is one that kexec_file_load made on kernel 6.1 (x86_64): the one of `make demo`. `make pictures`
writes reserved-memory.svg; `make lint` fails if that is not what this draws.
"""

from html import escape

WIDTH, HEIGHT = 860, 430
TOP, BOTTOM, COLUMN = 62, 372, 300
LEFT, RIGHT = 40, 520
OLD, NEW, FREE, INK = "#dfe7ef", "#f6c177", "#ffffff", "#1f2933"

# From high addresses to low ones: name, second line, share of the height, and what the patch does to it.
PARTS = [
    ("purgatory", "its table of regions and their digest", 46, "digest"),
    ("boot parameters", "with the command line", 34, "kept"),
    ("kernel", "", 44, "kept"),
    ("initrd", "", 56, "kept"),
    ("free", "", 40, "free"),
    ("the kernel's own pages", "for the load", 36, "own"),
    ("core header", "", 54, "header"),
]
BEFORE = {"core header": "830 MiB of RAM, 2 CPUs"}
AFTER = {
    "core header": "1.06 GiB of RAM, 3 CPUs",
    "purgatory": "the digest no longer covers the header",
    "the kernel's own pages": "written anew, in the same place",
}
REWRITTEN = {"digest", "own", "header"}


def text(x, y, words, size=13, anchor="start", weight="normal", colour=INK):
    """One line of text."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" fill="{colour}">{escape(words)}</text>'
    )


def column(x, title, notes, patched):
    """Reserved memory at one time."""
    shapes = [text(x + COLUMN / 2, TOP - 34, title, 16, "middle", "bold")]
    y = TOP
    scale = (BOTTOM - TOP) / sum(part[2] for part in PARTS)
    for name, note, share, kind in PARTS:
        height = share * scale
        rewritten = patched and kind in REWRITTEN
        colour = NEW if rewritten else FREE if kind == "free" else OLD
        dash = ' stroke-dasharray="5 4"' if kind in ("free", "own") else ""
        shapes.append(
            f'<rect x="{x}" y="{y:.1f}" width="{COLUMN}" height="{height:.1f}" fill="{colour}" '
            f'stroke="{INK}"{dash}/>'
        )
        note = notes.get(name, note)
        middle = y + height / 2 + (-3 if note else 5)
        weight = "bold" if kind != "free" else "normal"
        shapes.append(text(x + COLUMN / 2, f"{middle:.1f}", name, 13, "middle", weight))
        if note:
            shapes.append(text(x + COLUMN / 2, f"{middle + 16:.1f}", note, 12, "middle"))
        y += height
    return shapes


def arrow(y, words, more):
    """What happens between the two columns."""
    begin, end = LEFT + COLUMN + 14, RIGHT - 14
    return [
        f'<path d="M{begin} {y} H{end - 8}" stroke="{INK}" stroke-width="2"/>',
        f'<path d="M{end} {y} l-10 -5 v10 z" fill="{INK}"/>',
        text((begin + end) / 2, y - 10, words, 13, "middle", "bold"),
        text((begin + end) / 2, y + 20, more, 12, "middle"),
    ]


def main():
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif" role="img">',
        "<title>Reserved memory before and after a patch</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *column(LEFT, "before: stale", BEFORE, False),
        *arrow((TOP + BOTTOM) / 2, "one kexec_load", "about 8 KiB, 2 ms"),
        *column(RIGHT, "after the patch: right", AFTER, True),
        text(LEFT, BOTTOM + 18, "low addresses", 11),
        f'<rect x="{LEFT}" y="{HEIGHT - 26}" width="14" height="14" fill="{NEW}" stroke="{INK}"/>',
        text(LEFT + 22, HEIGHT - 14, "written by the patch"),
        f'<rect x="{LEFT + 190}" y="{HEIGHT - 26}" width="14" height="14" fill="{OLD}" stroke="{INK}"/>',
        text(LEFT + 212, HEIGHT - 14, "stays where and what it is: 192 MiB are reserved"),
        "</svg>",
    ]
    print("\n".join(lines))


main()
