// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// Makes dumps of machines that changed after their crash kernel was loaded, for crash(8) and drgn.
///
///     Prove DIRECTORY
///
/// Each machine is a whole Debian 12 whose own capture kernel writes the dump with makedumpfile. For
/// each there is DIRECTORY/NAME.dump, and DIRECTORY/NAME.json with what the machine had. It opens no
/// dump and judges nothing: that is open/'s business.
@main
struct Prove {
    static func main() throws {
        guard let directory = CommandLine.arguments.dropFirst().first else {
            throw GuestError.refused("no directory")
        }
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let image = try GuestImage.prepare().system("bookworm")
        let store = MachineStore()
        for scene in Scene.all {
            print("[prove] \(scene.name): \(scene.story)")
            fflush(nil)
            let guest = try store.machine(Scene.settings, image, .booted)
            let facts = try scene.play(on: guest)
            let written = try guest.crashToDisk()
            guard let file = written.file else {
                throw GuestError.noDump("\(scene.name): \(written.console.suffix(2000))")
            }
            let place = "\(directory)/\(scene.name)"
            try? FileManager.default.removeItem(atPath: "\(place).dump")
            try FileManager.default.copyItem(atPath: file, toPath: "\(place).dump")
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try encoder.encode(facts).write(to: URL(filePath: "\(place).json"))
        }
    }
}
