// SPDX-License-Identifier: Apache-2.0

/// How long to wait before trying again: doubling from a first wait up to a longest one, without
/// end.
package struct Backoff: Equatable {
    /// The wait after the first failure, in microseconds.
    package let first: UInt64
    /// The longest wait, in microseconds.
    package let longest: UInt64
    /// How many failures there have been in a row.
    package private(set) var failures = 0

    /// For a kexec lock that was held.
    ///
    /// Another load holds it for up to seconds, a reader of `crash_hotplug` for microseconds: begin
    /// with 10 ms, and end with one try a second.
    package static let busy = Backoff(first: 10_000, longest: 1_000_000)

    /// For a load that failed and left the machine unprotected.
    ///
    /// Begin with 100 ms because every moment counts. End at one minute because a missing file
    /// usually stays missing, and each try reads both files.
    package static let unprotected = Backoff(first: 100_000, longest: 60_000_000)

    /// For a load that failed or is not possible while an older image is still there.
    package static let stale = Backoff(first: 1_000_000, longest: 60_000_000)

    /// For a machine with nothing loaded, which another program may be about to load.
    ///
    /// Loading sends no uevent. A tool that reloads leaves nothing loaded for one to three seconds,
    /// and the image it then loads may be older than the last event: begin with 2 s. End at two
    /// minutes, because an image that an administrator has unloaded may never come back.
    package static let absent = Backoff(first: 2_000_000, longest: 120_000_000)

    /// For a machine on which a hotplug is half done: RAM that is listed without memory blocks, or a
    /// CPU without a device.
    ///
    /// The kernel sends no event at the end. It mostly comes within milliseconds; with a TiB of memory,
    /// or on a busy machine, it takes seconds to minutes. So begin with 10 ms, and end at a minute,
    /// because a state that lasts for ever must cost next to nothing.
    package static let unsettled = Backoff(first: 10_000, longest: 60_000_000)

    /// Notes one more failure and returns how many microseconds to wait.
    package mutating func wait() -> UInt64 {
        // 32 doublings of the shortest wait exceed any longest one, and shifting stays in range.
        let factor: UInt64 = 1 << UInt64(min(failures, 32))
        failures += 1
        let (product, overflow) = first.multipliedReportingOverflow(by: factor)
        return overflow ? longest : min(product, longest)
    }
}
