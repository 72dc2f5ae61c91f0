#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Opens the dumps that Prove made by crash(8) and by drgn, and writes docs/proof.md.

    open.py DIRECTORY PAGE.md

It fails where a tool does not see what the machine had, or sees in a control what must be lost.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import by_drgn
import record


class Scene:
    """A dump, and what its machine had when it crashed."""

    # Only of a machine to which one was added.
    addedProcessor = None

    def __init__(self, description):
        self.name = description.stem
        self.dump = description.with_suffix(".dump")
        vars(self).update(json.loads(description.read_text()))

    @property
    def content_is_kept(self):
        """Marked pages belong to a process, and level 31 leaves out what does."""
        return self.level < 31

    def mark(self, address):
        """The first words of a marked page: see Tests/MarkedPage/MarkedPage.swift."""
        return (0x6B64756D702D6D6B, address, self.nonce)


def symbols(release):
    """Where the kernel of a release lies with its debug symbols."""
    script = pathlib.Path(__file__).parent / "vmlinux.sh"
    return subprocess.run(
        [script, release], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def ask_crash(vmlinux, dump, commands):
    """Runs crash once; returns what it said by itself, and its answer to each command."""
    with tempfile.TemporaryDirectory() as directory:
        files = [pathlib.Path(directory) / str(number) for number in range(len(commands))]
        script = "".join(
            f"{command} > {file}\n" for command, file in zip(commands, files)) + "quit\n"
        done = subprocess.run(
            ["crash", "-s", vmlinux, dump], input=script, text=True, capture_output=True,
            timeout=600, check=False)
        said = (done.stdout + done.stderr).strip()
        if not all(file.exists() for file in files):
            raise SystemExit(f"crash did not open {dump}: {said}")
        return said, dict(zip(commands, (file.read_text().strip() for file in files)))


def by_crash(scene, vmlinux):
    """What crash says of a dump: the name of each thing asked, the answer, and whether it is there."""
    pages = scene.marks
    log = "log | grep -e 'Trigger a crash' -e 'Kernel panic'"
    commands = ["sys", log, f"kmem -p {pages[0]:x}"]
    commands += [f"rd -p -64 {page:x} 3" for page in pages]
    if scene.addedProcessor is not None:
        commands.append(f"bt -c {scene.addedProcessor}")
    if not scene.isThere:
        commands.append(f"rd -p -64 {scene.dimm[0]:x} 1")
    warnings, by_command = ask_crash(vmlinux, scene.dump, commands)
    found = {"warnings": (
        "\n".join(line for line in warnings.splitlines() if line.startswith("WARNING")), None)}
    text = by_command["sys"]
    # Its first lines say where the files lie on this machine.
    shown = "\n".join(
        line for line in text.splitlines() if not line.strip().startswith(("KERNEL:", "DUMPFILE:")))
    found["CPUs"] = (shown, f"CPUS: {scene.processors}" in text)
    text = by_command[log]
    found["kernel log"] = (text, "sysrq: Trigger a crash" in text)
    text = by_command[f"kmem -p {pages[0]:x}"]
    found["struct page"] = (text, f" {pages[0]:x} " in f"{text} ")
    reads = [by_command[f"rd -p -64 {page:x} 3"] for page in pages]
    whole = [
        all(f"{word:016x}" in text for word in scene.mark(page))
        for page, text in zip(pages, reads)
    ]
    found["content"] = (reads[0], all(whole) if any(whole) == all(whole) else None)
    if scene.addedProcessor is not None:
        text = by_command[f"bt -c {scene.addedProcessor}"]
        found["registers of the new CPU"] = (text, "#0 " in text)
    if not scene.isThere:
        found["memory that is gone"] = (by_command[commands[-1]], None)
    return found


def faults(scene, tool, found):
    """The sentences for what a tool should have seen and did not, or the other way round."""
    for what, (text, seen) in found.items():
        if what in ("warnings", "memory that is gone"):
            continue
        expected = scene.isWatched or not scene.isThere
        if what in ("CPUs", "kernel log", "struct page"):
            # They lie in memory that the machine booted with, so they are there with and without us.
            expected = True
        if what == "registers of the new CPU" and tool == "crash":
            # Where a dump has no registers of a CPU, crash looks for those that the NMI left.
            expected = True
        if what == "content" and not scene.content_is_kept:
            expected = False
        if seen is not expected:
            yield f"{scene.name}, {tool}: {what} {'lost' if expected else 'seen'}: {text}"


def main():
    directory, page = sys.argv[1:]
    wrong, sections = [], []
    for description in sorted(
            pathlib.Path(directory).glob("*.json"), key=lambda path: path.stem):
        scene = Scene(description)
        vmlinux = symbols(scene.release)
        print(f"[prove] opening {scene.dump.name}", flush=True)
        for tool, ask in (("crash", by_crash), ("drgn", by_drgn.look)):
            found = ask(scene, vmlinux)
            wrong += faults(scene, tool, found)
            sections.append((scene, tool, found))
    pathlib.Path(page).write_text(record.page(sections))
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"[prove] {len(sections) // 2} dumps are as their machines were; {page}")


if __name__ == "__main__":
    main()
