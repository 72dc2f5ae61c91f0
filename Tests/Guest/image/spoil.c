// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into the daemon, spoils its first SPOIL calls of kexec_load(2): the kernel finds out only
// after it has dropped the image in place that it cannot read the first segment. Where there is a file
// /run/kill-in, SIGKILL comes as many microseconds after any load has begun as it says: from outside
// nobody hits the few milliseconds of a patch. And while there is a file /run/slow-disk, reading the
// files of a load takes that long; /run/kdump-hotplugd/reading says that it has begun. And where there
// is a file /run/slow-load, a load from files takes as many seconds more as it says.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/kexec.h>

static void arm_kill(void)
{
    FILE *file = fopen("/run/kill-in", "r");
    long left;
    if (!file)
        return;
    if (fscanf(file, "%ld", &left) == 1) {
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
        // A time of zero would disarm it.
        struct itimerspec time = { .it_value = { left / 1000000, left % 1000000 * 1000 + 1 } };
        timer_t timer;
        if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &time, NULL))
            abort();
    }
    fclose(file);
}

static void slow_load(void)
{
    FILE *file = fopen("/run/slow-load", "r");
    unsigned seconds = 0;
    if (!file)
        return;
    if (fscanf(file, "%u", &seconds) == 1)
        sleep(seconds);
    fclose(file);
}

// A load takes a lease on each file before it reads it.
static int slow_fcntl(const char *name, int fd, int command, long argument)
{
    int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
    if (command == F_SETLEASE && access("/run/slow-disk", F_OK) == 0) {
        close(open("/run/kdump-hotplugd/reading", O_CREAT | O_WRONLY, 0600));
        while (access("/run/slow-disk", F_OK) == 0)
            usleep(10000);
    }
    return real(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return slow_fcntl("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    return slow_fcntl("fcntl64", fd, command, argument);
}

long syscall(long number, ...)
{
    static int left = -1;
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (left < 0) {
        const char *text = getenv("SPOIL");
        left = text ? atoi(text) : 0;
    }
    if (number == SYS_kexec_load && left > 0) {
        left--;
        ((struct kexec_segment *)a[2])[0].buf = (void *)8;
    }
    if (number == SYS_kexec_load || number == SYS_kexec_file_load)
        arm_kill();
    if (number == SYS_kexec_file_load)
        slow_load();
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
