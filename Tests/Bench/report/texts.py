# SPDX-License-Identifier: Apache-2.0
"""The paragraphs of the page: what was measured, how, and what the words in its tables mean."""

HEAD = """# Benchmarks

`make bench PARTS="{parts}"`
writes this page, text included. The raw numbers are in [{name}]({name}/) as CSV.

Each part can be measured by itself. These were, each beside its peers in one run:

{occasions}

**The machine** has {processors} processors and no hardware virtualisation. Every guest is emulated in
software (QEMU's TCG). Compare the times with each other, and only for the same kernel and within one
part. Guests run stock Debian 12 with 2 CPUs. The ways that are compared
take turns in one guest. For the storms each way has its own guest, booted alike, because removing
that much memory again would be another storm.

**Unprotected** is the time in which a panic gets no dump: from the moment the kexec lock is taken
to its release, measured with kprobe events on `do_kexec_load` (a `kexec_file_load` holds the lock
from start to end). A way that unloads first is unprotected from the start of the unload to the end
of the load.

**Seen unloaded** is what an independent process observed. It reads `/sys/kernel/kexec_crash_loaded`
as fast as it can; the time runs from the last poll before the gap to the first one after it. It
occupies the second CPU and so keeps it awake: a sleeping emulated CPU can take milliseconds to
answer the TLB flush that every load causes.

"""

WINDOWS = (
    "Kernel {kernel}, initrd of {initrd} MiB, {rounds} rounds; the observer polled every"
    " {resolution:.0f} µs. In milliseconds:\n\n")

ELSEWHERE = """## One refresh on POWER and arm64

Debian's kernels have no `kexec_file_load` there. With pages of 64 KiB (6.1 on POWER) the first patch of an
image moves the capture kernel, so first patches have a line of their own.

"""

STORMS = """## Storms

A storm is a burst of hundreds of hotplug events.

"""

STORM_NOTES = """* *Refreshes*: loads by the daemon or the rule. *Kernel updates*: runs of the kernel's own update;
  it takes the kexec lock even for an image that it does not update. *Locking reads*: reads of files
  that take the lock, `crash_hotplug` and `kexec_crash_size`.
* *Stale*: memory is online that the loaded core header does not list, or it lists memory that is gone,
  or nothing is loaded, or a load is running. A sampler reads the header in reserved memory every 2 ms;
  kprobe events tell what happens to the memory.
* *Loss*: the share of the storm, from its first change to the last moment that was stale, in which a
  crash would have lost the dump or part of it.
* *kdump-hotplugd before*: the build that KDUMP_HOTPLUGD_BEFORE names, with the unit it had.
* *CPU*: all services and the service manager. In the row *nobody* it is what udevd needs to handle
  the events.
* *The kernel by itself*: an image that the kernel updates. It takes the image away and rewrites the
  core header for each memory block. This row is not among the peers: the kernel loads nothing, and
  it does not help images that it does not update.
* *Debian's rule let through*: as shipped the rule does nothing, because systemd-udevd's system call
  filter does not let it load. Here a drop-in with `SystemCallFilter=@reboot` allows it.
* *The model of the RHEL chain* is our own script. It does what is documented: one `systemd-run` for
  each event, one second, up to three more for udev to settle, unload, load.
* *Cut off*: the run had not ended 240 s after the last memory was online. The figures are what had
  been done by then.

"""

GROWTH = """
The CPU time has a part that does not grow, so a small storm costs more for each event: the digest
is computed once after the last patch, and once before the first patch if it is not known yet.

"""

PROFILE_HEAD = """## Where the time of a patch goes

Measured with kprobe events on more functions; they cost time themselves. A function includes the
ones it calls. The segments of the patch cost only `kimage_load_segment`. Nearly all the rest is the
kernel making reserved memory writable before the load and read-only after it, as for every load:
`smp_call_function_many_cond` is the time in which it waits for all other CPUs to flush their TLBs,
six times for a patch.

"""

VERSIONS = """## Two builds, on quiet CPUs and on busy ones

`KDUMP_HOTPLUGD_BEFORE=FILE make bench PARTS=versions` lets another build take turns with this one in
one guest, each with its own unit. On *busy* CPUs two programs want each of them all the time. The 99th
percentile of fewer than a hundred is the largest.

"""

SIZE = """## The largest machines

What a look and a patch compute, on made-up machines: half of the possible CPUs are present and a
quarter has gone since the load, each NUMA node has its notes elsewhere, and the RAM is in thousands of
ranges of 8 GiB. The last one has 64 TiB. Measured natively, the median of five; the files are not read.

"""

CHAOS = """## Crashes at random moments of random storms

`make chaos` measures it. DIMMs, virtio-mem's memory and a CPU come and go at random, and after 0.3 to 7 s
the machine crashes. The process that crashes it first says which memory and CPUs are in use. *Captured*:
the capture kernel had a dump. *Complete*: the dump listed just that memory and those CPUs. *Lost to the
kexec lock*: the crash came while somebody held the lock, so that the kernel could start no image. The
image is loaded by each of `kexec -s`, `kexec -c` and kdump-tools in turn, except where a way needs a
loader of its own. Each peer has the first fifth of the daemon's storms.

"""

FAULTS = """## One call that fails

`make faults` measures it, on 6.1. It records the daemon's system calls while a DIMM is added, and then adds
one again and again; each time one call fails in one way that its manual page names, a read ends early, or
the daemon is killed there; or its directory in /run becomes full or read-only from there on. *Met*: the
daemon made that call again. *Right after*: the longest time from the hotplug until the image was right and
`--check` said so, under strace. Until then no check called an image right that was not, for longer than a
second, and in the end each image was right.

"""
