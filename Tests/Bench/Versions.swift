// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// The window of a patch by two builds of the daemon, which take turns in one guest, on quiet CPUs
/// and on busy ones.
///
/// It answers whether a change has made the daemon slower, and what a busy machine adds; what a patch
/// costs beside its peers is in Windows.swift. The other build is the file that KDUMP_HOTPLUGD_BEFORE
/// names.
struct Versions {
    let guest: Machine
    let rounds: Int
    let table: Table

    static let columns = [
        "kernel", "build", "cpus", "round", "change", "call_us", "unprotected_us",
    ]
    /// Where the guest finds the other build.
    static let other = "usr/sbin/kdump-hotplugd.before"

    private static let program = "/usr/sbin/kdump-hotplugd"

    /// The file of the other build; `nil` if there is none.
    static let before = ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_BEFORE"]

    /// Lays the other build where guests find it.
    static func layOut() throws {
        let place = URL(filePath: Machine.payload).appending(path: other)
        try? FileManager.default.removeItem(at: place)
        if let before { try FileManager.default.copyItem(at: URL(filePath: before), to: place) }
    }

    func measure() throws {
        try guest.permitOtherDaemon()
        try guest.expect("cp \(Self.program) /run/now; cp /payload/\(Self.other) /run/before")
        var windows: [String: [Double]] = [:]
        for round in 1...rounds {
            for build in round.isMultiple(of: 2) ? ["now", "before"] : ["before", "now"] {
                // A build's own unit says with which priority it runs.
                try guest.adjustService(
                    build == "now" ? "CapabilityBoundingSet=~" : Machine.otherDaemonsUnit)
                try guest.expect("cp /run/\(build) \(Self.program)")
                try guest.startDaemon()
                try guest.waitForCheck()
                for load in ["quiet", "busy"] {
                    windows["\(build), \(load)", default: []] += try measured(build, load, round)
                }
                try guest.expect("systemctl stop kdump-hotplugd")
            }
            progress("versions \(guest.settings.kernel): round \(round) of \(rounds)")
        }
        for (name, windows) in windows.sorted(by: { $0.key < $1.key }) {
            let ordered = windows.sorted()
            let (middle, tail) = (
                ordered[ordered.count / 2], ordered[(ordered.count * 99 - 1) / 100]
            )
            progress(
                "versions \(guest.settings.kernel): \(name), median \(micro(middle)) µs unprotected,"
                    + " p99 \(micro(tail)) µs, of \(windows.count) patches")
        }
    }

    /// A DIMM comes and goes; on busy CPUs two programs want each of them.
    private func measured(_ build: String, _ load: String, _ round: Int) throws -> [Double] {
        var windows: [Double] = []
        for change in ["add", "remove"] {
            if load == "busy" {
                try guest.expect(
                    """
                    for i in $(seq \(2 * guest.settings.processors)); do
                        systemd-run -q --unit=busy$i sh -c 'while :; do :; done'
                    done
                    """)
            }
            try guest.clearTrace()
            if change == "add" {
                try guest.hotAdd(megabytes: 256, id: "dimm")
            } else {
                try guest.hotRemove("dimm")
            }
            try guest.waitForLoad()
            try guest.expect("systemctl -q stop 'busy*' 2>/dev/null; true")
            try guest.waitForCheck()
            let trace = try guest.trace()
            for call in trace.calls {
                // What the kernel does by itself at the same event is not the daemon's window.
                let length = trace.unprotected
                    .filter { $0.lowerBound >= call.start && $0.upperBound <= call.end }
                    .reduce(0) { $0 + $1.upperBound - $1.lowerBound }
                windows.append(length)
                table.add([
                    "\(guest.settings.kernel)", build, load, "\(round)", change,
                    micro(call.duration),
                    micro(length),
                ])
            }
        }
        return windows
    }
}

extension Machine {
    /// Lets the unit run a build as old as 7ba72d6, as its own unit did.
    ///
    /// It opened /proc/iomem itself, which takes CAP_SYS_ADMIN, and it had no priority.
    func permitOtherDaemon() throws { try adjustService(Self.otherDaemonsUnit) }

    /// Waits until `--check` of whichever build runs says OK.
    ///
    /// `waitUntilOK` knows what only the present one says.
    func waitForCheck() throws {
        try expect("sleep 0.5")
        try waitUntil("kdump-hotplugd --check >/dev/null")
    }

    static let otherDaemonsUnit = "CapabilityBoundingSet=~\nExecStartPost="

    /// Starts the other build in the daemon's place.
    func startOtherDaemon() throws {
        try permitOtherDaemon()
        try expect("cp /payload/\(Versions.other) /usr/sbin/kdump-hotplugd")
        try startDaemon()
    }
}
