// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A running test guest: Debian with a real kernel, systemd and udevd, in QEMU.
///
/// It goes away with this object, with everything written in it. Everything blocks, with a time
/// limit. Hot-plugging is in Hotplug.swift, crashing in Crash.swift,
/// looking into its memory in Memory.swift.
package final class Machine {
    /// How long a guest may take for anything that is asked of it: a limit on hanging, and no
    /// measurement.
    ///
    /// Nothing takes half a minute on a quiet machine with two cores. One that has other work, or
    /// runs the tests itself under emulation, may need several times that.
    package static let patience: Duration = .seconds(300)

    /// What the guest is made of.
    package let settings: MachineSettings
    /// The time from starting QEMU until the shell in the guest answered.
    package private(set) var startTime: Duration = .zero

    /// The CPUs that were plugged in and not brought online by the tests; see Crash.swift.
    var unstartedCPUs: Set<Int> = []

    let image: GuestImage
    let agent: Agent
    let machineProtocol: MachineProtocol
    let emulator: Emulator
    let files: MachineFiles

    /// Where a guest begins.
    private enum Origin {
        case boot
        /// The moment at which another was saved.
        case saved(SavedMachine)
    }

    /// Boots a guest, and returns when it takes commands; what it becomes can be saved if it `isToBeSaved`.
    ///
    /// QEMU 7.2 now and then goes on with what a kernel has just replaced in its own code: one of 265
    /// boots panicked at an int3 that was no longer there, before anything of ours ran. Later versions
    /// have not booted often enough here to tell. So a boot, which is before the test proper, may be
    /// repeated once; that is counted and printed.
    package static func boot(
        _ settings: MachineSettings, _ image: GuestImage, isToBeSaved: Bool = false
    ) throws(GuestError) -> Machine {
        Census.booted()
        do {
            return try Machine(settings, image, from: .boot, isToBeSaved: isToBeSaved)
        } catch {
            print(
                "[guest] boot of \(settings.kernel) repeated (\(Census.repeated()) so far): \(error)"
            )
            return try Machine(settings, image, from: .boot, isToBeSaved: isToBeSaved)
        }
    }

    /// Goes on where `saved` was, with what is not inherent in a guest as `settings` say, and returns
    /// when it takes commands.
    static func resume(
        _ saved: SavedMachine, _ settings: MachineSettings, isToBeSaved: Bool = false
    ) throws(GuestError) -> Machine {
        Census.resumed()
        return try Machine(settings, saved.image, from: .saved(saved), isToBeSaved: isToBeSaved)
    }

    private init(
        _ settings: MachineSettings, _ image: GuestImage, from origin: Origin, isToBeSaved: Bool
    ) throws(GuestError) {
        let begin = ContinuousClock.now
        let deadline = Deadline(in: Self.patience)
        let files = try MachineFiles.make()
        self.settings = settings
        self.image = image
        self.files = files
        do {
            let library = settings.losesCPUs ? files.directory + "/keep.so" : nil
            if let library { try Self.compile("keep.c", to: library) }
            let isFile = settings.sharesMemory || isToBeSaved
            var arguments = try Self.arguments(settings, image, files, origin, memoryIsFile: isFile)
            if case .saved = origin { arguments += ["-incoming", "defer"] }
            agent = Agent(wire: try Wire(listeningAt: files.agent))
            let control = try Wire(listeningAt: files.control)
            emulator = try Emulator(
                image.emulator, arguments: arguments, files: files, preloading: library)
            try agent.wire.accept(by: deadline)
            try control.accept(by: deadline)
            machineProtocol = MachineProtocol(control)
            try machineProtocol.greet()
            switch origin {
            case .boot: try agent.waitUntilReady(by: deadline)
            case .saved(let saved):
                try machineProtocol.goOn(from: saved, by: deadline)
                let wakeUp = settings.kernel.platform.machine.sleep.after
                if !wakeUp.isEmpty { try expect(wakeUp) }
            }
            if settings.payload != nil { try mountPayload() } else { try expect("true") }
        } catch {
            let seen = Self.tail(of: files.console) + Self.tail(of: files.messages)
            files.remove()
            throw .refused("the guest does not start: \(error)\n\(seen)")
        }
        startTime = begin.duration(to: .now)
    }

    /// Makes the disk and the memory that the guest begins with, and says how QEMU finds them.
    private static func arguments(
        _ settings: MachineSettings, _ image: GuestImage, _ files: MachineFiles, _ origin: Origin,
        memoryIsFile: Bool
    ) throws(GuestError) -> [String] {
        var memory = settings.anonymousMemory
        if memoryIsFile { memory = settings.sharedMemory(in: files.memory) }
        switch origin {
        case .boot:
            try files.makeDisk(over: image.disk, format: "raw")
        case .saved(let saved):
            try files.makeDisk(over: saved.files.disk, format: "qcow2")
            if memoryIsFile {
                try Guest.run("/bin/cp", ["--sparse=auto", saved.files.memory, files.memory])
            } else {
                memory = settings.copiedMemory(of: saved.files.memory)
            }
        }
        return try settings.arguments(
            image, files, memory: memory, payload: RunDirectory.disk(of: settings.payload))
    }

    deinit { shutdown() }

    /// Ends the guest at once; it has nothing that is worth a clean shutdown.
    package func shutdown() {
        emulator.kill()
        files.remove()
    }

    /// Everything on the guest's console so far.
    package var console: String {
        (try? String(contentsOfFile: files.console, encoding: .isoLatin1)) ?? ""
    }

    /// Runs a command as root, by bash; `output` has both of its streams.
    package func run(
        _ command: String, timeout: Duration = patience
    ) throws(GuestError) -> (status: Int, output: String) {
        do {
            let (status, output) = try agent.run(command, timeout: timeout)
            return (status, String(decoding: output, as: UTF8.self))
        } catch {
            throw explained(error, command)
        }
    }

    /// Runs a command that must end with status 0, and returns its output without the last newline.
    @discardableResult
    package func expect(
        _ command: String, timeout: Duration = patience
    ) throws(GuestError) -> String {
        let (status, output) = try run(command, timeout: timeout)
        guard status == 0 else {
            throw .failed(command: command, status: status, output: output)
        }
        return output.hasSuffix("\n") ? String(output.dropLast()) : output
    }

    /// Waits until a command ends with status 0, which is then its answer.
    @discardableResult
    package func waitUntil(_ command: String) throws(GuestError) -> String {
        let loop = "until \(command)\ndo sleep 0.2\ndone"
        let (status, output) = try run(loop)
        guard status == 0 else { throw .timedOut("waiting for `\(command)`:\n\(output)") }
        return output
    }

    /// Gives a command to the machine itself, and returns its answer.
    @discardableResult
    func control(
        _ command: String, _ arguments: [String: Any] = [:]
    ) throws(GuestError) -> Any {
        do {
            return try machineProtocol.execute(command, arguments)
        } catch {
            throw explained(error, command)
        }
    }

    /// The error with what the console knows about it.
    func explained(_ error: GuestError, _ what: String) -> GuestError {
        switch error {
        case .ended:
            .ended(
                """
                QEMU ended with status \(emulator.kill()) during \(what); it and its console said:
                \(Self.tail(of: files.messages))
                \(Self.tail(of: files.console))
                """)
        case .timedOut: .timedOut("\(what)\n\(Self.tail(of: files.console))")
        default: error
        }
    }

    /// The end of a console, and before it how a crash began: the capture kernel has said much since.
    private static func tail(of path: String) -> String {
        let text = (try? String(contentsOfFile: path, encoding: .isoLatin1)) ?? ""
        let lines = text.split(whereSeparator: \.isNewline)
        let crash = lines.firstIndex { line in
            ["Oops: ", "BUG: ", "Kernel panic"].contains { line.contains($0) }
        }
        let cause = crash.map { lines[$0...].prefix(20) + ["…"] } ?? []
        return (cause + lines.suffix(40)).joined(separator: "\n")
    }
}
