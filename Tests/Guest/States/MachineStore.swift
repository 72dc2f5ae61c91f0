// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Gives guests to tests, and boots as few as possible: it saves one of each kind at each moment that
/// tests begin with, and resumes that.
///
/// Booted guests are kept beside the images for later runs; those with a build of the daemon in them
/// only as long as this run.
package final class MachineStore: Sendable {
    /// A saved guest, made when it is first asked for; who asks meanwhile waits.
    private final class Cell: Sendable {
        let saved = Mutex<SavedMachine?>(nil)
    }

    private struct Kind: Hashable {
        let settings: MachineSettings
        let image: GuestImage
        let beginning: Beginning
    }

    private let cells = Mutex<[Kind: Cell]>([:])

    package init() {}

    /// A guest of its own for a test, at the moment that it begins with.
    package func machine(
        _ settings: MachineSettings, _ image: GuestImage, _ beginning: Beginning
    ) throws(GuestError) -> Machine {
        let begin = ContinuousClock.now
        let saved = try saved(settings, image, beginning)
        Census.spent(on: .saving, since: begin)
        let resumption = ContinuousClock.now
        defer { Census.spent(on: .resuming, since: resumption) }
        return try .resume(saved, settings)
    }

    private func saved(
        _ settings: MachineSettings, _ image: GuestImage, _ beginning: Beginning
    ) throws(GuestError) -> SavedMachine {
        let kind = Kind(settings: settings.inherent, image: image, beginning: beginning)
        let cell = cells.withLock { cells in
            let cell = cells[kind] ?? Cell()
            cells[kind] = cell
            return cell
        }
        return try cell.saved.withLock { (saved) throws(GuestError) in
            if let saved { return saved }
            let new = try make(settings, image, beginning)
            saved = new
            return new
        }
    }

    private func make(
        _ settings: MachineSettings, _ image: GuestImage, _ beginning: Beginning
    ) throws(GuestError) -> SavedMachine {
        guard let previous = beginning.previous else { return try booted(settings, image) }
        let begin = ContinuousClock.now
        let guest = try Machine.resume(
            saved(settings, image, previous), settings, isToBeSaved: true)
        try guest.advance(to: beginning)
        let place = try "\(RunDirectory.path.get())/saved-\(UInt32.random(in: .min ... .max))"
        let made = try guest.save(to: MachineFiles.makeDirectory(place))
        let seconds = Int(begin.duration(to: .now).inSeconds)
        print("[guest] \(settings.kernel) \(beginning): saved after \(seconds) s")
        return made
    }

    /// The guest as it is after its boot, kept beside the images.
    private func booted(
        _ settings: MachineSettings, _ image: GuestImage
    ) throws(GuestError) -> SavedMachine {
        let plain = settings.inherent
        let place = try image.savedPlace(of: plain)
        let kept = SavedMachine(
            settings: plain, image: image, files: MachineFiles(directory: place))
        if kept.isComplete { return kept }
        let guest = try Machine.boot(plain, image, isToBeSaved: true)
        try guest.advance(to: .booted)
        let seconds = Int(guest.startTime.inSeconds)
        let making = "\(place)-\(UInt32.random(in: .min ... .max))"
        let made = try guest.save(to: MachineFiles.makeDirectory(making))
        print("[guest] \(plain.kernel): booted in \(seconds) s, and saved for later runs")
        // Another run may have been quicker.
        if rename(making, place) != 0 {
            guard kept.isComplete else { return made }
            try? FileManager.default.removeItem(atPath: making)
        }
        return kept
    }
}
