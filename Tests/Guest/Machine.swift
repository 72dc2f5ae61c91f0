// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

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
    package private(set) var bootTime: Duration = .zero

    let agent: Agent
    let machineProtocol: MachineProtocol
    private let emulator: Emulator
    /// How often a guest had to be started twice.
    private static let repeats = Atomic(0)
    let directory: String

    /// Boots a guest, and returns when it takes commands.
    ///
    /// QEMU 7.2 now and then goes on with what a kernel has just replaced in its own code: one of 265
    /// boots panicked at an int3 that was no longer there, before anything of ours ran. So a boot,
    /// which is before the test proper, may be repeated once; that is counted and printed.
    package static func boot(
        _ settings: MachineSettings, _ image: GuestImage
    ) throws(GuestError) -> Machine {
        do {
            return try Machine(settings, image)
        } catch {
            let count = repeats.add(1, ordering: .relaxed).newValue
            print("[guest] boot of \(settings.kernel) repeated (\(count) so far): \(error)")
            return try Machine(settings, image)
        }
    }

    private init(_ settings: MachineSettings, _ image: GuestImage) throws(GuestError) {
        let begin = ContinuousClock.now
        let deadline = Deadline(in: Self.patience)
        let directory = try Self.newDirectory()
        self.settings = settings
        self.directory = directory
        do {
            if let payload = settings.payload {
                try GuestImage.disk(
                    of: payload, label: "payload", at: directory + "/payload.ext4")
            }
            let library = settings.losesCPUs ? directory + "/keep.so" : nil
            if let library { try Self.compile("keep.c", to: library) }
            if settings.isWholeSystem {
                try Guest.run(
                    "/bin/cp",
                    ["--sparse=always", image.disk, MachineSettings.diskFile(in: directory)])
            }
            agent = Agent(wire: try Wire(listeningAt: directory + "/agent"))
            let control = try Wire(listeningAt: directory + "/qmp")
            emulator = try Emulator(
                arguments: settings.arguments(image, in: directory), directory: directory,
                preloading: library)
            try agent.wire.accept(by: deadline)
            try control.accept(by: deadline)
            machineProtocol = MachineProtocol(control)
            try machineProtocol.greet()
            try agent.waitUntilReady(by: deadline)
        } catch {
            let seen = Self.tail(of: directory + "/console") + Self.tail(of: directory + "/qemu")
            try? FileManager.default.removeItem(atPath: directory)
            throw .refused("the guest does not boot: \(error)\n\(seen)")
        }
        bootTime = begin.duration(to: .now)
    }

    deinit { shutdown() }

    /// Ends the guest at once; it has nothing that is worth a clean shutdown.
    package func shutdown() {
        emulator.kill()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Everything on the guest's console so far.
    package var console: String {
        (try? String(contentsOfFile: directory + "/console", encoding: .isoLatin1)) ?? ""
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
                \(Self.tail(of: directory + "/qemu"))
                \(Self.tail(of: directory + "/console"))
                """)
        case .timedOut: .timedOut("\(what)\n\(Self.tail(of: directory + "/console"))")
        default: error
        }
    }

    private static func newDirectory() throws(GuestError) -> String {
        // Short: the path of a unix socket has 108 bytes.
        let path = "/tmp/guest-\(String(UInt32.random(in: .min ... .max), radix: 36))"
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw .tool("\(path): \(error)")
        }
        return path
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
