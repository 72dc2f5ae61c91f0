#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""record.py TITLE COMMAND...: runs a command and prints what it said as a recorded terminal (asciicast,
version 2), with the times at which it said it. It exits with the command's exit code, and prints nothing
if that is not 0."""

import json
import subprocess
import sys
import time

WIDTH = 126


def main():
    title, *command = sys.argv[1:]
    began, events = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        for line in process.stdout:
            sys.stderr.write(line)
            events.append([round(time.monotonic() - began, 2), "o", line.replace("\n", "\r\n")])
    if process.returncode:
        return process.returncode
    height = len(events)
    print(json.dumps({"version": 2, "width": WIDTH, "height": height, "title": title}))
    for event in events:
        print(json.dumps(event, ensure_ascii=False))
    return 0


sys.exit(main())
