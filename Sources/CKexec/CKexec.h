// SPDX-License-Identifier: Apache-2.0
//
// The two system calls that load a crash kernel. glibc wraps neither, and syscall(2) is variadic,
// which Swift cannot call: hence these. Each returns 0, or the negated errno, so that no caller can
// lose errno on the way. Only Refresh/Kexec.swift may call them (docs/design.md).

#ifndef KDUMP_HOTPLUGD_CKEXEC_H
#define KDUMP_HOTPLUGD_CKEXEC_H

#include <errno.h>
#include <linux/kexec.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/// kexec_file_load(2). `command_line_size` counts the terminating NUL. Architectures whose kernel
/// has no such call (SYS_kexec_file_load undefined) answer ENOSYS, as an old kernel would.
static inline int ckexec_file_load(int kernel_fd, int initrd_fd, size_t command_line_size,
                                   const char *_Nonnull command_line, unsigned long flags)
{
#ifdef SYS_kexec_file_load
    long result = syscall(SYS_kexec_file_load, kernel_fd, initrd_fd, command_line_size,
                          command_line, flags);
    return result < 0 ? -errno : 0;
#else
    (void)kernel_fd, (void)initrd_fd, (void)command_line_size, (void)command_line, (void)flags;
    return -ENOSYS;
#endif
}

/// kexec_load(2).
static inline int ckexec_load(unsigned long entry, unsigned long segment_count,
                              const struct kexec_segment *_Nonnull segments, unsigned long flags)
{
    long result = syscall(SYS_kexec_load, entry, segment_count, segments, flags);
    return result < 0 ? -errno : 0;
}

#endif
