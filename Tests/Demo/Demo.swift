// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// Shows the main job on one screen: two guests grow and crash, one of them with the daemon.
///
/// Both are real: Debian with its own kernel 6.1, systemd and udevd, plugged over QEMU's machine
/// protocol and really crashed. The one without the daemon runs in a second process at the same
/// time. It proves nothing that the guest tests do not; it is for people.
@main
struct Demo {
    static func main() throws {
        let image = try GuestImage.prepare(progress: { _ in })
        if CommandLine.arguments.dropFirst().first == "costs" { return try Costs.measure(image) }
        if CommandLine.arguments.dropFirst().first == "without" {
            let story = Story(tells: false)
            print(try story.withoutDaemon(image).line)
            return
        }
        let other = Process()
        let pipe = Pipe()
        other.executableURL = URL(filePath: CommandLine.arguments[0])
        other.arguments = ["without"]
        other.standardOutput = pipe
        try other.run()
        let story = Story(tells: true)
        let with = try story.withDaemon(image)
        story.step("the other machine, without the daemon, is crashed as well")
        let said = String(
            decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        other.waitUntilExit()
        guard let line = said.split(separator: "\n").last, let without = Holdings(line: line) else {
            throw GuestError.garbled("the guest without the daemon said: \(said)")
        }
        print(Holdings.comparison(with: with, without: without))
        // A demo that shows no difference has failed.
        exit(with.isWhole && !without.isWhole ? 0 : 1)
    }
}
