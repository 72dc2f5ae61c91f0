// SPDX-License-Identifier: Apache-2.0
//
// The parts of libsystemd that the daemon uses: sd-event (EventLoop.swift), sd-daemon and sd-bus
// (ServiceManager.swift) and the sending half of sd-journal (Journal.swift). The loop and its
// sources arrive as ARC classes, by way of CSystemd.apinotes; describe a function there before
// using it.
//
// Swift wants a release operation that returns nothing; libsystemd's return NULL: hence one
// function for each type. And before 6.3 it wants a body for each type. Nobody ever sees what is in it:
// Swift only passes pointers on.

#ifndef KDUMP_HOTPLUGD_CSYSTEMD_H
#define KDUMP_HOTPLUGD_CSYSTEMD_H

// Where a message comes from is a place in a Swift file, not the one in C that the macros add.
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <systemd/sd-journal.h>

struct sd_event { char opaque; };
struct sd_event_source { char opaque; };

static inline void csystemd_event_release(sd_event *_Nonnull event)
{
    sd_event_unref(event);
}

static inline void csystemd_event_source_release(sd_event_source *_Nonnull source)
{
    sd_event_source_unref(source);
}

#endif
