// SPDX-License-Identifier: Apache-2.0
//
// Keys in a guest, for tests of encrypted dump targets: no package of the images has a program for
// them.
//
//     keyring add DESCRIPTION PAYLOAD     adds a logon key to the session's keyring, as cryptsetup does
//     keyring remove DESCRIPTION          takes it out again
//     keyring read DESCRIPTION            prints a user key of this user's keyring: there the capture
//                                         kernel puts what it finds in the image
//
// See keyrings(7), add_key(2) and keyctl(2).

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what)
{
    printf("keyring: %s: %s\n", what, strerror(errno));
    return 1;
}

static long find(long keyring, const char *type, const char *description)
{
    return syscall(SYS_keyctl, KEYCTL_SEARCH, keyring, type, description, 0L);
}

int main(int count, char **words)
{
    if (count == 4 && !strcmp(words[1], "add")) {
        long key = syscall(SYS_add_key, "logon", words[2], words[3], strlen(words[3]),
                           (long)KEY_SPEC_SESSION_KEYRING);
        return key < 0 ? fail("add_key") : 0;
    }
    if (count == 3 && !strcmp(words[1], "remove")) {
        long key = find(KEY_SPEC_SESSION_KEYRING, "logon", words[2]);
        if (key < 0 || syscall(SYS_keyctl, KEYCTL_UNLINK, key, (long)KEY_SPEC_SESSION_KEYRING) < 0)
            return fail(words[2]);
        return 0;
    }
    if (count == 3 && !strcmp(words[1], "read")) {
        char payload[256];
        long key = find(KEY_SPEC_USER_KEYRING, "user", words[2]);
        long size = key < 0 ? key : syscall(SYS_keyctl, KEYCTL_READ, key, payload, sizeof(payload));
        if (size < 0 || size > (long)sizeof(payload))
            return fail(words[2]);
        printf("keyring: %s holds %.*s\n", words[2], (int)size, payload);
        return 0;
    }
    puts("usage: keyring add DESCRIPTION PAYLOAD | remove DESCRIPTION | read DESCRIPTION");
    return 2;
}
