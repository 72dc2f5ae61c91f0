// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One of the ways in which a machine changes by itself or because somebody pays for more of it.
package enum MachineChange: Hashable, Sendable {
    /// A DIMM comes, or goes if it is there.
    case dimm(Int)
    /// The machine is asked to have so many MiB by virtio-mem.
    case virtioMemory(megabytes: Int)
    /// A CPU comes, or goes if it is there.
    case processor
}

/// A machine that changes at random until it crashes.
///
/// All is asked for from outside, so that the guest's shell is free for the crash.
extension Machine {
    /// Makes a guest ready for every ``MachineChange``.
    package func prepareForChanges() throws(GuestError) {
        // Many distributions ship such a rule; Debian leaves a new CPU offline.
        try expect(
            """
            modprobe virtio_mem; mkdir -p /run/udev/rules.d
            echo 'SUBSYSTEM=="cpu", ACTION=="add", ATTR{online}=="0", ATTR{online}="1"' \
            >/run/udev/rules.d/80-online-cpus.rules
            udevadm control --reload; udevadm settle
            """)
        try makeRoomForCode()
    }

    /// Changes the guest until it says its last words; it is of no use afterwards.
    ///
    /// `order` says what changes next, after how many seconds. A change that QEMU or the guest refuses,
    /// or that the crash comes before, has not happened.
    package func change(by order: [(change: MachineChange, pause: Double)], megabytes: Int) {
        var plugged: Set<Int> = []
        var processor = RandomProcessor(socket: settings.processors)
        for (change, pause) in order where !hasCrashed {
            Thread.sleep(forTimeInterval: pause)
            switch change {
            case .dimm(let number):
                let id = "dimm-\(number)"
                if plugged.contains(number) {
                    guard unplugUnlessCrashed(id),
                        (try? control("object-del", ["id": "backend-\(id)"])) != nil
                    else { continue }
                    plugged.remove(number)
                } else if (try? hotAdd(megabytes: megabytes, id: id, waiting: false)) != nil {
                    plugged.insert(number)
                }
            case .virtioMemory(let megabytes):
                try? requestVirtioMemory(megabytes: megabytes)
            case .processor:
                processor.change(in: self)
            }
        }
    }

    private var hasCrashed: Bool { console.contains("last words: ") }

    /// Asks for a device back, and waits for it: five seconds at most, and not longer than to the crash.
    private func unplugUnlessCrashed(_ id: String) -> Bool {
        guard (try? control("device_del", ["id": id])) != nil else { return false }
        for _ in 0..<20 where !hasCrashed {
            do {
                try waitUntilUnplugged(id, within: .milliseconds(250))
                return true
            } catch .timedOut {
                continue
            } catch {
                return false
            }
        }
        return false
    }

    /// The one CPU that comes and goes.
    private struct RandomProcessor {
        let socket: Int
        private var isPlugged = false
        private var isRefused = false
        private var additions = 0

        /// QEMU cannot plug in more than that in a guest's life: see ``Machine/hotAddCPU``.
        private static let mostAdditions = 2

        init(socket: Int) { self.socket = socket }

        mutating func change(in guest: Machine) {
            if isPlugged {
                // A guest that does not let go of it now may do so later, and is not asked again.
                guard !isRefused else { return }
                isRefused = !guest.unplugUnlessCrashed("cpu-\(socket)")
                isPlugged = isRefused
            } else if additions < Self.mostAdditions {
                isPlugged = (try? guest.plugProcessor(socket: socket)) != nil
                additions += 1
            }
        }
    }
}
