// SPDX-License-Identifier: Apache-2.0

import Guest

/// How many crashes at random moments of random storms left what.
struct ChaosCount: CustomStringConvertible {
    /// Left a dump.
    var captured = 0
    /// Left a dump that lists just the memory and CPUs there were.
    var complete = 0
    /// Came while somebody held the kexec lock, which keeps the kernel from starting any image.
    var locked = 0

    var description: String {
        "\(captured) captured, \(complete) complete, \(locked) lost to the kexec lock"
    }

    /// Adds a line to the table for the documents, if one is wanted.
    func note(_ kernel: Kernel, _ follower: Follower, of crashes: Int) throws {
        try ResultTable(variable: "KDUMP_HOTPLUGD_CHAOS_TABLE")
            .add("\(kernel),\(follower.rawValue),\(crashes),\(captured),\(complete),\(locked)")
    }
}
