// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

/// All tests in guests, as many at a time as there are processors.
///
/// A test blocks its thread, and Swift makes one for each processor; a guest waits for half its life.
@Suite enum GuestTests {
    /// Made once for all of them.
    static let image = Result { try GuestImage.prepare() }

    /// How many pages are marked at least where a dump is searched for them.
    static let marked = 4_096

    /// Boots a guest.
    static func boot(_ settings: MachineSettings) throws -> Machine {
        let guest = try Machine.boot(settings, image.get())
        print("[guest] \(settings.kernel): booted in \(guest.bootTime.inSeconds) s")
        return guest
    }

    /// Boots a guest with the daemon installed and configured, and not started.
    static func bootWithDaemon(
        _ kernel: Kernel, _ adjust: (inout MachineSettings) -> Void = { _ in }
    ) throws -> Machine {
        var settings = MachineSettings(kernel, payload: Machine.payload)
        adjust(&settings)
        let guest = try boot(settings)
        try guest.installDaemon()
        try guest.configureDaemon()
        return guest
    }

    /// Crashes a guest and returns its dump.
    static func crash(_ guest: Machine, looking marks: Marks? = nil) throws -> Vmcore {
        let dump = try guest.crash(looking: marks)
        print("[guest] \(guest.settings.kernel): dump in \(dump.captureTime.inSeconds) s")
        return dump
    }
}
