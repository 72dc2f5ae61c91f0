// SPDX-License-Identifier: Apache-2.0

/// What makes the engine look at the machine.
package enum Trigger: Equatable {
    /// An event has just come, and more may follow: a load waits until it is worth it.
    case event
    /// Something may have been plugged: uevents came or were lost, or a daemon has just started and
    /// cannot know what it missed.
    case hotplug
    /// An administrator asks for another look: what did not help before is tried once more.
    case request
    /// Nothing is known to have changed: a second look, a retry, a probe.
    case routine
}
