#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""terminal.py CAST: draws a recorded terminal (asciicast, version 2) as an animated SVG.

Lines appear as they came, in a quarter of the time; then the picture stays. Where there is no animation,
all lines are there from the beginning. It knows plain text only: no colours, no moving cursor.
"""

import json
import sys
from html import escape

CHARACTER, LINE, MARGIN, FASTER = 7.25, 17, 16, 4


def lines_of(events):
    """The lines of the recording, each with the second in which it was complete."""
    text, lines = "", []
    for second, kind, data in events:
        if kind != "o":
            continue
        text += data.replace("\r", "")
        *whole, text = text.split("\n")
        lines += [(second, line) for line in whole]
    return lines


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        header, *events = [json.loads(line) for line in file]
    lines = lines_of(events)
    width = int(header["width"] * CHARACTER + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="DejaVu Sans Mono, Menlo, monospace" font-size="12" role="img">'
    )
    print(f"<title>{escape(header.get('title', ''))}</title>")
    print(
        "<style>text{fill:#e4e7eb;white-space:pre;animation:show .1s backwards}"
        ".step{fill:#f6c177;font-weight:bold}.command{fill:#9ccfd8}"
        "@keyframes show{from{opacity:0}}</style>"
    )
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#1f2933"/>')
    for number, (second, line) in enumerate(lines):
        kind = "step" if line.startswith("[") else "command" if line.startswith("  # ") else ""
        name = f' class="{kind}"' if kind else ""
        print(
            f'<text x="{MARGIN}" y="{MARGIN + (number + 0.75) * LINE:.2f}"{name} '
            f'style="animation-delay:{second / FASTER:.1f}s" xml:space="preserve">{escape(line)}</text>'
        )
    print("</svg>")


main()
