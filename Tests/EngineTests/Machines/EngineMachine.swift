// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// What unit tests give an engine to look at.
extension LoadedMachine {
    /// All that an engine reads of it, in the files of a real one: it can be looked at and judged.
    func observable() throws -> RecordedMachine {
        let machine = try recorded()
        try machine.write(
            """
            00100000-3fffffff : System RAM
              10000000-100fffff : Crash kernel

            """, to: "/proc/iomem")
        try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        return machine
    }
}

/// A machine that engines look at.
extension RecordedMachine {
    /// A synthetic machine with an image that can be audited.
    static func withImage(
        _ adjust: (inout LoadedMachine) throws -> Void = { _ in }
    ) throws -> RecordedMachine {
        var loaded = try LoadedMachine()
        try adjust(&loaded)
        return try loaded.observable()
    }

    /// An engine for it that has no files to load.
    func engine(_ savedState: Engine.SavedState = Engine.SavedState()) -> Engine {
        Engine(root: root, source: nil, savedState: savedState, architecture: .x86)
    }

    /// Gives the machine memory blocks of 128 MiB.
    func putOnline(_ blocks: Range<Int>) throws {
        let folder = "/sys/devices/system/memory"
        try write("8000000\n", to: "\(folder)/block_size_bytes")
        for block in blocks {
            try write("online\n", to: "\(folder)/memory\(block)/state")
        }
    }
}
