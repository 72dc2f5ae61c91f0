// SPDX-License-Identifier: Apache-2.0
//
// libkdumpfile as a Swift module, for tests that read the files that makedumpfile writes.

#ifndef KDUMP_HOTPLUGD_CKDUMPFILE_H
#define KDUMP_HOTPLUGD_CKDUMPFILE_H

#include <libkdumpfile/kdumpfile.h>

#endif
