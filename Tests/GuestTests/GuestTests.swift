// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

/// All tests in guests, as many at a time as ``GuestThreads`` has threads.
@Suite(.told) enum GuestTests {
    /// Made once for all of them.
    static let image = Result { try GuestImage.prepare() }
    /// The same for guests on POWER and on arm64.
    private static let powerImage = Result {
        try GuestImage.prepare(for: .pseries, whole: Cell.isFull)
    }
    private static let armImage = Result {
        try GuestImage.prepare(for: .virt, whole: Cell.isFull)
    }

    /// How many pages are marked at least where a dump is searched for them.
    static let marked = 4_096

    private static let store = MachineStore()

    /// A guest of a kernel's own, resumed at the moment that a test begins with.
    static func guest(
        _ kernel: Kernel, _ beginning: Beginning,
        _ adjust: (inout MachineSettings) -> Void = { _ in }
    ) throws -> Machine {
        var settings = MachineSettings(kernel, payload: Machine.payload(for: kernel.platform))
        adjust(&settings)
        let images =
            switch kernel.platform {
            case .pc: image
            case .pseries: powerImage
            case .virt: armImage
            }
        var image = try images.get()
        if kernel.isBuilt { image = try image.withBuiltKernels(of: kernel.platform) }
        return try store.machine(settings, image, beginning)
    }

    /// A whole Debian of a suite, as it is after its boot, in which kdump-tools has loaded.
    static func debian(_ suite: String, _ settings: MachineSettings) throws -> Machine {
        try store.machine(settings, image.get().system(suite), .booted)
    }

    /// Boots a guest, where the boot is part of the test.
    static func boot(_ settings: MachineSettings) throws -> Machine {
        let guest = try Machine.boot(settings, image.get())
        print("[guest] \(settings.kernel): booted in \(guest.startTime.inSeconds) s")
        return guest
    }

    /// Crashes a guest and returns its dump.
    static func crash(
        _ guest: Machine, on processor: Int? = nil, looking marks: Marks? = nil
    ) throws -> Vmcore {
        let dump = try guest.crash(on: processor, looking: marks)
        print("[guest] \(guest.settings.kernel): dump in \(dump.captureTime.inSeconds) s")
        return dump
    }
}
