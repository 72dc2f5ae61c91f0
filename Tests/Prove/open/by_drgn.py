# SPDX-License-Identifier: Apache-2.0
"""What drgn says of a dump; the same things that crash is asked for."""

import struct

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.mm import decode_page_flags, pfn_to_page
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.printk import get_dmesg

PAGE_SHIFT = 12


def attempt(function):
    """A function's answer, or drgn's words for why there is none."""
    try:
        return function(), True
    except (drgn.FaultError, LookupError, ValueError) as error:
        return f"{type(error).__name__}: {error}", False


def registers(program, processor):
    """Where a CPU was; a trace of one frame is a guess that drgn makes without the registers."""
    trace, is_there = attempt(
        lambda: program.stack_trace(per_cpu(program["runqueues"], processor).curr))
    return str(trace), is_there and len(trace) > 1


def look(scene, vmlinux):
    """The name of each thing asked, the answer, and whether it is there."""
    program = drgn.Program()
    program.set_core_dump(scene.dump)
    program.load_debug_info([vmlinux])
    page = scene.marks[0]
    found = {}
    online = list(for_each_online_cpu(program))
    found["CPUs"] = (f"online: {online}", len(online) == scene.processors)
    log = get_dmesg(program).decode(errors="replace").splitlines()
    found["kernel log"] = (
        "\n".join(line for line in log if "Trigger a crash" in line or "Kernel panic" in line),
        any("sysrq: Trigger a crash" in line for line in log))
    found["struct page"] = attempt(
        lambda: decode_page_flags(pfn_to_page(program, page >> PAGE_SHIFT)))
    contents = [
        attempt(lambda address=address: struct.unpack("<3Q", program.read(address, 24, True)))
        for address in scene.marks
    ]
    whole = [
        text == scene.mark(address) for address, (text, _) in zip(scene.marks, contents)
    ]
    text = contents[0][0]
    found["content"] = (
        text if isinstance(text, str) else " ".join(f"{word:016x}" for word in text),
        all(whole) if any(whole) == all(whole) else None)
    if scene.addedProcessor is not None:
        found["registers of the new CPU"] = registers(program, scene.addedProcessor)
    if not scene.isThere:
        answer, _ = attempt(lambda: program.read(scene.dimm[0], 8, True).hex())
        found["memory that is gone"] = (answer, None)
    return found
