// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The disks and kernels that guests boot, as `image/make.sh` made them.
///
/// They lie outside the repository and are shared by all runs: a guest writes to a copy that goes
/// away with it. What is under test is not in them; it comes on the payload disk of each guest.
package struct GuestImage: Sendable, Hashable {
    /// Where the root disk and the kernels lie.
    let root: String
    /// Where guest-probe and what is made of it lie.
    let tools: String
    /// The program that is QEMU for them.
    let emulator: String

    /// The root disk.
    var disk: String { root + "/root.ext4" }

    /// Where the live guest sees the capture kernel's initramfs.
    package static let captureInitrd = "/tools/capture.initramfs"

    /// Makes what is missing, which takes about a minute the first time, and for another architecture much
    /// more, because a Swift SDK is made; afterwards no time.
    ///
    /// What only the whole matrix takes is made if it is `whole`.
    package static func prepare(
        for platform: Platform = .pc, whole: Bool = false,
        progress: (String) -> Void = { print($0) }
    ) throws(GuestError) -> GuestImage {
        let script = platform.machine.script
        let places = try make(script + (whole ? ["matrix"] : []), progress)
        guard let root = places["root"], let tools = places["tools"] else {
            throw .tool("\(script[0]) did not say where the image is")
        }
        return GuestImage(
            root: root, tools: tools,
            emulator: places["emulator"] ?? "/usr/bin/qemu-system-x86_64")
    }

    /// What QEMU says its version is.
    var emulatorVersion: String {
        get throws(GuestError) { try run(emulator, ["--version"]) }
    }

    /// Where an unpacked QEMU has its firmware; for an installed one it is what it takes anyway.
    var firmware: String {
        let prefix = emulator.split(separator: "/").dropLast(2).joined(separator: "/")
        return "/\(prefix)/share/qemu"
    }

    /// Makes a whole Debian of a suite, with its own kernel and kdump-tools, which takes about two
    /// minutes the first time; afterwards no time.
    package func system(
        _ suite: String, progress: (String) -> Void = { print($0) }
    ) throws(GuestError) -> GuestImage {
        guard let root = try Self.make(["system.sh", suite], progress)["root"] else {
            throw .tool("system.sh did not say where the image is")
        }
        return GuestImage(root: root, tools: tools, emulator: emulator)
    }

    /// Makes an image of this one for the kernels of a platform that Debian does not have.
    ///
    /// They are built the first time, which takes up to an hour; afterwards no time.
    package func withBuiltKernels(
        of platform: Platform, progress: (String) -> Void = { print($0) }
    ) throws(GuestError) -> GuestImage {
        let script = platform.machine.kernelScript
        let places = try Self.make(script + [root, tools], progress)
        guard let root = places["root"] else {
            throw .tool("\(script[0]) did not say where the image is")
        }
        return GuestImage(root: root, tools: tools, emulator: places["emulator"] ?? emulator)
    }

    /// Where a guest of `settings` is kept as it is after its boot: beside the image, and under a name
    /// that stands for all that goes into it.
    func savedPlace(of settings: MachineSettings) throws(GuestError) -> String {
        let arguments = settings.arguments(
            self, MachineFiles(directory: ""), memory: settings.anonymousMemory, payload: "")
        let version = try emulatorVersion
        let ingredients = ([version] + arguments).joined(separator: "\n")
        let hash = try run("/bin/sh", ["-c", "printf %s \"$0\" | sha256sum", ingredients])
        return "\(root)/saved-\(settings.kernel)-\(hash.prefix(16))"
    }

    /// Runs a script of `image`, and returns the places that it names.
    private static func make(
        _ command: [String], _ progress: (String) -> Void
    ) throws(GuestError) -> [Substring: String] {
        let script = Repository.path("Tests/Guest/image/\(command[0])")
        var places: [Substring: String] = [:]
        try run("/bin/bash", [script] + command.dropFirst()) { line in
            let words = line.split(separator: " ", maxSplits: 1)
            if words.count == 2, ["root", "tools", "emulator"].contains(words[0]) {
                places[words[0]] = String(words[1])
            } else {
                progress(line)
            }
        }
        return places
    }
}
