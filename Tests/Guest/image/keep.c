// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into QEMU where a CPU is to be plugged out: after a thread has been joined, as that of the
// CPU is, nothing that the program frees is really freed for two seconds.
//
// QEMU 7.2 with TCG forgets to take an unplugged CPU off the list of those to be told when the map of
// memory changes (softmmu/physmem.c, `cpu_address_space_init` registers `tcg_commit`, nothing takes it
// back). So each later change (a DIMM, a capture kernel that sizes PCI windows) flushes the TLB of a
// CPU that is gone: it writes into, and may free again, what was freed with it, and QEMU dies of that
// at some later time. With this the flush is as harmless as it is useless. The source of 10.0.13 is
// mended.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

extern void __libc_free(void *);
static atomic_long until;

static long seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

int pthread_join(pthread_t thread, void **result)
{
    static int (*join)(pthread_t, void **);
    if (!join)
        join = (int (*)(pthread_t, void **))dlsym(RTLD_NEXT, "pthread_join");
    int error = join(thread, result);
    atomic_store(&until, seconds() + 2);
    return error;
}

void free(void *block)
{
    long end = atomic_load_explicit(&until, memory_order_relaxed);
    if (!end || seconds() > end)
        __libc_free(block);
}
