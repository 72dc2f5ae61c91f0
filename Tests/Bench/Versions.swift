// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// The window of a patch by two builds of the daemon, which take turns in one guest.
///
/// It answers whether a change has made the daemon slower; what a patch costs beside its peers is in
/// Windows.swift. The other build is the file that KDUMP_HOTPLUGD_BEFORE names.
struct Versions {
    let guest: Machine
    let rounds: Int
    let table: Table

    static let columns = ["kernel", "build", "round", "change", "call_us", "unprotected_us"]
    /// Where the guest finds the other build.
    static let other = "usr/sbin/kdump-hotplugd.before"

    private static let program = "/usr/sbin/kdump-hotplugd"

    func measure() throws {
        // Builds up to November 2026 open /proc/iomem themselves, which takes CAP_SYS_ADMIN.
        try guest.adjustService("CapabilityBoundingSet=~")
        try guest.expect("cp \(Self.program) /run/now; cp /payload/\(Self.other) /run/before")
        var windows: [String: [Double]] = [:]
        for round in 1...rounds {
            for build in round.isMultiple(of: 2) ? ["now", "before"] : ["before", "now"] {
                try guest.expect("cp /run/\(build) \(Self.program)")
                try guest.startDaemon()
                try guest.waitUntilOK()
                windows[build, default: []] += try measured(build, round)
                try guest.expect("systemctl stop kdump-hotplugd")
            }
        }
        for (build, windows) in windows.sorted(by: { $0.key < $1.key }) {
            let middle = windows.sorted()[windows.count / 2]
            progress(
                "versions \(guest.settings.kernel): \(build), median \(micro(middle)) µs unprotected"
                    + " of \(windows.count) patches")
        }
    }

    /// A DIMM comes and goes.
    private func measured(_ build: String, _ round: Int) throws -> [Double] {
        var windows: [Double] = []
        for change in ["add", "remove"] {
            try guest.clearTrace()
            if change == "add" {
                try guest.hotAdd(megabytes: 256, id: "dimm")
            } else {
                try guest.hotRemove("dimm")
            }
            try guest.waitForLoad()
            try guest.waitUntilOK()
            let trace = try guest.trace()
            for call in trace.calls {
                // What the kernel does by itself at the same event is not the daemon's window.
                let length = trace.unprotected
                    .filter { $0.lowerBound >= call.start && $0.upperBound <= call.end }
                    .reduce(0) { $0 + $1.upperBound - $1.lowerBound }
                windows.append(length)
                table.add([
                    "\(guest.settings.kernel)", build, "\(round)", change, micro(call.duration),
                    micro(length),
                ])
            }
        }
        return windows
    }
}
