// SPDX-License-Identifier: Apache-2.0
//
// libumockdev as a Swift module, for tests that need devices which this machine has not.

#ifndef KDUMP_HOTPLUGD_CUMOCKDEV_H
#define KDUMP_HOTPLUGD_CUMOCKDEV_H

#include <umockdev.h>

#endif
