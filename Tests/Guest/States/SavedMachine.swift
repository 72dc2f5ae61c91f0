// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A guest at one moment of its life, kept in files, from which any number of guests go on.
///
/// Its memory is a file that each of them maps for itself (QEMU's migration.x-ignore-shared: what both
/// ends have is not sent), its disk the backing file of theirs, and the rest, the state of its devices
/// and CPUs, a stream of a few hundred KiB. So going on takes no copy, unless a guest wants its memory
/// to be seen from outside.
package struct SavedMachine: Sendable {
    /// What it is made of; what it goes on with may differ in what is not inherent.
    let settings: MachineSettings
    let image: GuestImage
    let files: MachineFiles

    /// The state of its devices and CPUs.
    var devices: String { files.directory + "/devices" }

    /// Whether all of it is there.
    var isComplete: Bool {
        [files.memory, files.disk, devices].allSatisfy {
            FileManager.default.fileExists(atPath: $0)
        }
    }
}

extension Machine {
    /// Stops the guest and moves what it is into `directory`; this object is of no use afterwards.
    ///
    /// Only for guests that were started to be saved, whose memory is a file.
    func save(to directory: String) throws(GuestError) -> SavedMachine {
        let saved = SavedMachine(
            settings: settings.inherent, image: image,
            files: MachineFiles(directory: directory))
        try expect("sync; \(settings.kernel.platform.machine.sleep.before)")
        try control("stop")
        try machineProtocol.leaveOutMemory()
        try control("migrate", ["uri": "exec:cat >\(files.directory)/devices"])
        try machineProtocol.waitForMigration(by: Deadline(in: Self.patience))
        emulator.kill()
        do {
            // The console goes along: it tells how it all began if a guest does not go on.
            for name in ["memory", "disk.qcow2", "devices", "console"] {
                try FileManager.default.moveItem(
                    atPath: "\(files.directory)/\(name)", toPath: "\(directory)/\(name)")
            }
        } catch {
            throw .tool("\(directory): \(error)")
        }
        shutdown()
        return saved
    }
}

extension MachineProtocol {
    /// Keeps QEMU from sending or expecting the memory that lies in a file.
    fileprivate func leaveOutMemory() throws(GuestError) {
        try execute(
            "migrate-set-capabilities",
            ["capabilities": [["capability": "x-ignore-shared", "state": true]]])
    }

    /// Lets a saved guest go on, in a QEMU that waits for its state.
    func goOn(from saved: SavedMachine, by deadline: Deadline) throws(GuestError) {
        try leaveOutMemory()
        try execute("migrate-incoming", ["uri": "exec:cat \(saved.devices)"])
        try waitForMigration(by: deadline)
        try execute("cont")
    }

    /// Waits until a state has been written or read.
    fileprivate func waitForMigration(by deadline: Deadline) throws(GuestError) {
        while true {
            let answer = try execute("query-migrate") as? [String: Any] ?? [:]
            switch answer["status"] as? String {
            case "completed": return
            case "failed", "cancelled": throw .refused("the state of the guest: \(answer)")
            default: break
            }
            guard !deadline.isOver else { throw .timedOut("the state of the guest: \(answer)") }
            Thread.sleep(forTimeInterval: 0.01)
        }
    }
}
