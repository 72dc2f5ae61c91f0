// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Plugging memory and CPUs in and out of a running guest.
extension Machine {
    /// Plugs in a DIMM and returns where it lies in physical memory.
    ///
    /// With `waiting` it returns when the guest has all of it online, else when QEMU has plugged it. QEMU
    /// chooses the place if there is no `address`.
    @discardableResult
    package func hotAdd(
        megabytes: Int, id: String, at address: UInt64? = nil, waiting: Bool = true
    ) throws(GuestError) -> Range<UInt64> {
        try control(
            "object-add",
            [
                "qom-type": "memory-backend-ram", "id": "backend-\(id)", "size": megabytes << 20,
                // Most of a big DIMM is never touched: it may be bigger than this machine.
                "reserve": false,
            ])
        var device: [String: Any] = ["driver": "pc-dimm", "id": id, "memdev": "backend-\(id)"]
        if let address { device["addr"] = address }
        try control("device_add", device)
        let place = try place(of: id)
        guard waiting else { return place }
        let deadline = Deadline(in: Self.patience)
        while try !systemMemory().contains(where: { $0.contains(place) }) {
            guard !deadline.isOver else { throw .timedOut("\(id) did not come online") }
        }
        return place
    }

    /// Plugs a DIMM out, and returns when the guest has let go of it.
    package func hotRemove(_ id: String) throws(GuestError) {
        try unplug(id)
        try control("object-del", ["id": "backend-\(id)"])
    }

    /// Plugs in a CPU, a thread of a socket's core, and returns its number; with `online` the guest
    /// uses it.
    ///
    /// Only twice in a guest's life: QEMU (7.2, 10.0.2 and 10.0.13) has as many translators as the guest may
    /// have CPUs, gives none back when a CPU is plugged out, and aborts for want of one (tcg/tcg.c,
    /// `tcg_register_thread`).
    @discardableResult
    package func hotAddCPU(
        socket: Int, thread: Int = 0, online: Bool = true
    ) throws(GuestError) -> Int {
        let before = try processors()
        try makeRoomForCode()
        try plugProcessor(socket: socket, thread: thread)
        let deadline = Deadline(in: Self.patience)
        while true {
            if let number = try processors().subtracting(before).first {
                let switches = "/sys/devices/system/cpu/cpu\(number)/online"
                // Onlining an online CPU, which a rule of the guest may have done, is no error.
                if online {
                    try expect("echo 1 >\(switches); grep -q 1 \(switches)")
                } else {
                    unstartedCPUs.insert(number)
                }
                return number
            }
            guard !deadline.isOver else {
                throw .refused("the guest does not accept a CPU in socket \(socket)")
            }
        }
    }

    /// Plugs in a CPU, and returns when QEMU has; see ``hotAddCPU``.
    func plugProcessor(socket: Int, thread: Int = 0) throws(GuestError) {
        try control(
            "device_add", settings.kernel.platform.machine.processor(core: socket, thread: thread))
    }

    /// Plugs out the CPU of a socket, and returns when the guest has let go of it.
    ///
    /// Only for guests that are made for it: ``MachineSettings/losesCPUs``.
    package func hotRemoveCPU(socket: Int) throws(GuestError) {
        guard settings.losesCPUs else { throw .refused("this guest cannot lose a CPU") }
        try unplug("cpu-\(socket)")
    }

    /// The numbers of the CPUs that the guest has, online or not.
    package func processors() throws(GuestError) -> Set<Int> {
        let list = try expect("cat /sys/devices/system/cpu/present")
        var numbers: Set<Int> = []
        for run in list.split(separator: ",") {
            let ends = run.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else {
                throw .garbled("present CPUs: \(list)")
            }
            numbers.formUnion(first...last)
        }
        return numbers
    }

    private func place(of id: String) throws(GuestError) -> Range<UInt64> {
        let answer = try control("query-memory-devices")
        for device in answer as? [[String: Any]] ?? [] {
            let data = device["data"] as? [String: Any] ?? [:]
            guard data["id"] as? String == id, let start = data["addr"] as? Int,
                let size = data["size"] as? Int
            else { continue }
            return UInt64(start)..<UInt64(start + size)
        }
        throw .refused("QEMU does not show \(id)")
    }

    /// Plugs a device out, and returns when the guest has let go of it.
    func unplug(
        _ id: String, within time: Duration = patience
    ) throws(GuestError) {
        try control("device_del", ["id": id])
        try waitUntilUnplugged(id, within: time)
    }

    /// Waits until the guest has let go of a device that it was asked for.
    func waitUntilUnplugged(_ id: String, within time: Duration) throws(GuestError) {
        let event: MachineProtocol.Event
        do {
            event = try machineProtocol.event(within: time) {
                $0.saysGone(id) || $0.device == id && $0.saysRefused
            }
        } catch {
            throw explained(error, "unplugging \(id)")
        }
        guard event.name == "DEVICE_DELETED" else {
            throw .refused("the guest does not let go of \(id): \(event.data)")
        }
    }
}

extension MachineProtocol.Event {
    /// An emulated CPU is told to be gone only by its interrupt controller, a child of its path.
    fileprivate func saysGone(_ id: String) -> Bool {
        guard name == "DEVICE_DELETED", let path = data["path"] as? String else { return false }
        let own = "/machine/peripheral/\(id)"
        return path == own || path.hasPrefix(own + "/")
    }

    /// A guest that cannot take memory offline says so by an event of QEMU or by ACPI's _OST, whose
    /// status is then neither success (0) nor "in progress" (0x84).
    fileprivate var saysRefused: Bool {
        switch name {
        case "MEM_UNPLUG_ERROR", "DEVICE_UNPLUG_GUEST_ERROR":
            return true
        case "ACPI_DEVICE_OST":
            let info = data["info"] as? [String: Any]
            let ejection = [3, 0x103].contains(info?["source"] as? Int)
            return ejection && ![0, 0x84].contains(info?["status"] as? Int)
        default:
            return false
        }
    }
}
