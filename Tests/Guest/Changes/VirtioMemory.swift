// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Memory that a guest gets and gives back while it runs, in steps of 2 MiB, by virtio-mem.
///
/// Only for guests that are made for it: ``MachineSettings/virtioMemory``. The guest needs the driver
/// first (`modprobe virtio_mem`).
extension Machine {
    /// Asks the guest to have `megabytes` of it, and returns when it has.
    package func resizeVirtioMemory(to megabytes: Int) throws(GuestError) {
        try requestVirtioMemory(megabytes: megabytes)
        let deadline = Deadline(in: Self.patience)
        while true {
            let size = try control("qom-get", virtioMemoryProperty("size")) as? Int
            if size == megabytes << 20 { return }
            guard !deadline.isOver else {
                throw .timedOut("virtio-mem has \(size ?? -1) bytes, not \(megabytes) MiB")
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }

    /// Asks the guest to have `megabytes` of it, and returns at once.
    func requestVirtioMemory(megabytes: Int) throws(GuestError) {
        try control(
            "qom-set",
            virtioMemoryProperty("requested-size").merging(["value": megabytes << 20]) { $1 })
    }

    /// Where all that it can have lies in physical memory.
    package func virtioMemoryPlace() throws(GuestError) -> Range<UInt64> {
        let start = try control("qom-get", virtioMemoryProperty("memaddr")) as? Int
        guard let start else { throw .refused("QEMU does not show where virtio-mem lies") }
        return UInt64(start)..<UInt64(start + settings.virtioMemory << 20)
    }

    private func virtioMemoryProperty(_ name: String) -> [String: Any] {
        ["path": "/machine/peripheral/\(MachineSettings.virtioMemoryID)", "property": name]
    }
}
