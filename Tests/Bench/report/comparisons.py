# SPDX-License-Identifier: Apache-2.0
"""Compares the daemon with its peers, figure by figure."""

import figures
from figures import MODEL, NOBODY, OURS, median, ratio, values

# The other ways of following a storm of events.
PEERS = (MODEL, "Debian's rule let through")


def windows(lines):
    """How many times shorter a patch is than the other ways of bringing the same image up to date."""
    body = []
    for peer, image in (
            ("kexec -s -p", "kexec_file_load"), ("kexec -c -p", "kexec_load"),
            ("kexec -p -u; kexec -c -p", "kexec_load"),
            ("the kernel's own updates at that event", "kexec_file_load")):
        if peer not in [line["way"] for line in lines]:
            continue
        cells = []
        for column in ("call_us", "unprotected_us", "unloaded_us"):
            theirs, ours = (median(values([x for x in lines if x["way"] == way], column))
                            for way in (peer, f"patch of a {image} image"))
            cells.append(ratio(theirs, ours))
        body.append([peer, *cells])
    return figures.table(
        ["how many times shorter a patch is than", "system call", "unprotected", "seen unloaded"], body)


def storms(lines):
    """What following a storm costs, as a share of the best peer's cost.

    Handling the events costs udevd its time whoever follows them; that is not counted.
    """
    ours = next((line for line in lines if line["way"] == OURS), None)
    peers = [line for line in lines if line["way"] in PEERS]
    if ours is None or not peers:
        return ""
    nobody = next((line for line in lines if line["way"] == NOBODY), None)
    body = []
    for column, words in (
            ("refreshes", "refreshes"), ("unprotected_us", "unprotected"),
            ("stale_after_us", "stale after the last event"),
            ("cpu_us", "CPU beyond nobody's" if nobody else "CPU")):
        anyway = float(nobody[column]) if nobody and column == "cpu_us" else 0
        best = min(peers, key=lambda line: float(line[column]))
        theirs, mine = float(best[column]) - anyway, float(ours[column]) - anyway
        share = f"1/{ratio(theirs, mine)}" if theirs >= mine else f"{ratio(mine, theirs)} times"
        body.append([words, share if mine else "none", best["way"]])
    return figures.table(["kdump-hotplugd's share", "of the best peer's", "best peer"], body) + "\n"
