// SPDX-License-Identifier: Apache-2.0

import Guest

/// What the daemon costs while nothing happens, beside systemd-udevd in the same guest.
struct Rest {
    let guest: Machine
    let table: Table

    static let columns = [
        "kernel", "process", "rss_kib", "anonymous_kib", "own_files_kib", "switches_per_minute",
        "start_us",
    ]

    private static let services = [
        ("kdump-hotplugd", "kdump-hotplugd"), ("systemd-udevd", "systemd-udevd"),
    ]

    func measure() throws {
        try guest.startDaemon()
        try guest.expect("systemctl restart systemd-udevd; udevadm settle")
        // What starting has set going is over by then. What is not yet on the disk of the files just
        // installed would count as written to by whoever maps them.
        try guest.expect("sync; sleep 20")
        let before = try Self.services.map { try switches(of: $0.1) }
        try guest.expect("sleep 60")
        for (number, service) in Self.services.enumerated() {
            let switches = try switches(of: service.1) - before[number]
            let pid = try guest.pid(of: service.1)
            table.add([
                "\(guest.settings.kernel)", service.0,
                "\(try memory(pid, "Rss"))", "\(try memory(pid, "Anonymous"))",
                "\(try memory(pid, "Private_Clean"))", "\(switches)",
                "\(try startTime(of: service.1))",
            ])
        }
    }

    /// How often the process has been put on a processor: what wakes it up, and what preempts it.
    private func switches(of service: String) throws -> Int {
        try guest.number(
            "awk '/ctxt_switches/ { sum += $2 } END { print sum }' /proc/\(guest.pid(of: service))/status"
        )
    }

    /// Kibibytes of one kind of memory.
    private func memory(_ pid: Int, _ kind: String) throws -> Int {
        try guest.number(
            "awk '/^\(kind)/ { sum += $2 } END { print sum }' /proc/\(pid)/smaps_rollup")
    }

    /// Microseconds from the start of the process until it said that it is ready.
    private func startTime(of service: String) throws -> Int {
        func time(_ property: String) throws -> Int {
            try guest.number("systemctl show -P \(property) \(service)")
        }
        return try time("ActiveEnterTimestampMonotonic")
            - time("ExecMainStartTimestampMonotonic")
    }
}

extension Machine {
    /// The main process of a service.
    func pid(of service: String) throws -> Int {
        try number("systemctl show -P MainPID \(service)")
    }

    /// The number that a command prints.
    func number(_ command: String) throws -> Int {
        let text = try expect(command)
        guard let number = Int(text) else { throw GuestError.garbled("\(command): \(text)") }
        return number
    }
}
