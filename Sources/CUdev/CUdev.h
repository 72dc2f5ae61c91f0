// SPDX-License-Identifier: Apache-2.0
//
// libudev as a Swift module: the three reference-counted types that Uevents.swift needs arrive as
// ARC classes, by way of CUdev.apinotes. A function that returns a new reference must say there
// `SwiftReturnOwnership: retained`, or each call leaks; so describe a function before using it.
//
// Swift wants a release operation that returns nothing; libudev's return NULL: hence one function
// for each type. And before 6.3 it wants a body for each type. Nobody ever sees what is in it: Swift
// only passes pointers on.

#ifndef KDUMP_HOTPLUGD_CUDEV_H
#define KDUMP_HOTPLUGD_CUDEV_H

#include <libudev.h>

struct udev { char opaque; };
struct udev_monitor { char opaque; };
struct udev_device { char opaque; };

static inline void cudev_release(struct udev *_Nonnull udev)
{
    udev_unref(udev);
}

static inline void cudev_monitor_release(struct udev_monitor *_Nonnull monitor)
{
    udev_monitor_unref(monitor);
}

static inline void cudev_device_release(struct udev_device *_Nonnull device)
{
    udev_device_unref(device);
}

#endif
