# SPDX-License-Identifier: Apache-2.0
"""The page that records what crash and drgn said: a table, and their own words."""

# So much of an answer is shown.
LINES = 12

HEAD = """# Dumps, opened by crash and drgn

`make prove` writes this page. It lets machines change after their crash kernel was loaded, crashes
them, and opens the dumps with the tools that people use, with Debian's debug symbols. The machines
are Debian 12 with kernel {release}, its own kdump-tools and makedumpfile. The
dumps were made after a patch, but for the controls, in which nobody followed the change.

A marked page is a page of a process that holds its own physical address; {count} of each machine are
read. Where a DIMM was added, all of them lie in it.

"""

END = """
* The number of CPUs and the kernel log come from the kernel's own variables. A dump has them even if
  the crash image is stale.
* `struct page`: the kernel's own description of the marked page. It lies in memory that the machine
  booted with.
* *Content* of a dump filtered by `-d 31`: the marked pages belong to a process, and that level leaves
  such pages out.
* *Registers* of a CPU that the crash image has no note for: crash looks for those that the NMI left
  on the stack, which works as long as the stack lies in memory that the dump has. drgn does not look.
* *removed-nobody*: the crash image lists memory that is gone. makedumpfile leaves it out, because the
  kernel has no `struct page` for it, so these tools see no difference.
* Debian 12's crash finds only a few tasks of this kernel ("not found in PID hash"), with and without
  the daemon.

"""


def symbol(seen):
    return {True: "yes", False: "**no**", None: "in part"}[seen]


def table(sections):
    things = ["CPUs", "kernel log", "struct page", "content", "registers of the new CPU"]
    yield "| dump | tool | " + " | ".join(things) + " |"
    yield "|---" * (len(things) + 2) + "|"
    for scene, tool, found in sections:
        cells = [symbol(found[thing][1]) if thing in found else "" for thing in things]
        yield f"| {scene.name} | {tool} | " + " | ".join(cells) + " |"


def words(sections):
    last = None
    for scene, tool, found in sections:
        if scene is not last:
            yield f"\n## {scene.name}\n\n{scene.story}\n"
            last = scene
        yield f"{tool}:\n"
        yield "```"
        for thing, (text, _) in found.items():
            if not text:
                continue
            lines = [line.rstrip() for line in text.splitlines() if line.strip()]
            yield f"# {thing}"
            yield "\n".join(lines[:LINES]) + ("\n…" if len(lines) > LINES else "")
        yield "```\n"


def page(sections):
    first = sections[0][0]
    head = HEAD.format(release=first.release, count=len(first.marks))
    return head + "\n".join(table(sections)) + "\n" + END.rstrip() + "\n" + "\n".join(
        words(sections)).rstrip() + "\n"
