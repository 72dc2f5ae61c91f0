// SPDX-License-Identifier: Apache-2.0

import Guest

/// How long the machine is without protection while its crash kernel is refreshed, by each way.
///
/// All ways take turns in one guest, so that whatever else goes on meets all of them. Each window is
/// taken twice: from the kernel's record of the system calls, and by the outside observer.
struct Windows {
    let guest: Machine
    let rounds: Int
    var reserved = 192
    var initrd = Bench.initrd
    let table: Table

    static let columns = [
        "kernel", "cpus", "reserved_mib", "initrd_mib", "way", "round", "calls", "call_us",
        "unprotected_us", "unloaded_us", "resolution_us",
    ]

    /// The way by which an image is patched that kernels since 6.6 update themselves.
    private static let followed = "patch of a kexec_file_load image"

    func measure() throws {
        for round in 1...rounds {
            if guest.settings.kernel.platform == .pc {
                try takeTurns(round)
            } else {
                try takeTurnsOfPrograms(round)
            }
            progress("windows \(guest.settings.kernel): round \(round) of \(rounds)")
        }
    }

    /// Everything once; in the end the machine is as it was before.
    ///
    /// What is stale for the daemon comes of really plugging memory in or out. `kexec_load`'s images
    /// no kernel updates here, and what is plugged *out* it keeps in no image.
    private func takeTurns(_ round: Int) throws {
        try guest.configureBench(patches: false)
        try step("kexec -c -p", round) { try guest.kexec("-c") }
        try guest.hotAdd(megabytes: 256, id: "dimm")
        try step("reload by kdump-hotplugd", round) { try guest.startDaemon() }
        try guest.configureBench(patches: true)
        try guest.startDaemon()
        try step(Self.followed, round) {
            try guest.hotRemove("dimm")
            try guest.waitForLoad()
        }
        try step("kexec -s -p", round) { try guest.kexec("-s") }
        try step("kexec -p -u; kexec -s -p", round) {
            try guest.expect("kexec -p -u")
            try guest.kexec("-s")
        }
        try step("kdump-config reload", round) { try guest.expect("kdump-config reload") }
        try step("patch of a kexec_load image", round) {
            try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.waitForLoad()
        }
        try step("patch of a kexec_load image", round) {
            try guest.hotRemove("dimm")
            try guest.waitForLoad()
        }
        try guest.expect("systemctl stop kdump-hotplugd")
    }

    /// The same where the kernel has no loader of its own.
    private func takeTurnsOfPrograms(_ round: Int) throws {
        try step("kexec -c -p", round) { try guest.kexec("-c") }
        try step("kexec -p -u; kexec -c -p", round) {
            try guest.expect("kexec -p -u")
            try guest.kexec("-c")
        }
        try step("first patch of a kexec_load image", round) {
            try guest.hotAdd(megabytes: 256, id: "one")
            try guest.startDaemon()
        }
        try step("patch of a kexec_load image", round) {
            try guest.hotAdd(megabytes: 256, id: "two")
            try guest.waitForLoad()
        }
        for dimm in ["two", "one"] {
            try step("patch of a kexec_load image", round) {
                try guest.hotRemove(dimm)
                try guest.waitForLoad()
            }
        }
        try guest.expect("systemctl stop kdump-hotplugd")
    }

    /// Runs `body`, and writes down what it cost: one line for each time without protection.
    func step(_ way: String, _ round: Int, _ body: () throws -> Void) throws {
        try guest.clearTrace()
        try guest.startWatching()
        try body()
        let trace = try guest.trace()
        let seen = try guest.seen()
        try guest.expect("systemctl -q stop watch")
        // On kernels that update an image themselves, the same event makes them do it, too.
        if way == Self.followed, !trace.ownUpdates.isEmpty {
            let updates = trace.ownUpdates
            let gaps = seen.gaps.filter { gap in
                updates.contains {
                    $0.start <= gap.inner.upperBound && $0.end >= gap.inner.lowerBound
                }
            }
            add(
                "the kernel's own updates at that event", round, updates.count, call: nil,
                updates.map { $0.start...$0.end }, gaps, seen)
        }
        for window in windows(
            trace.calls, unloadsFirst: way.contains("-u") || way.contains("config"))
        {
            let unprotected = trace.unprotected.filter {
                $0.lowerBound >= window.start && $0.upperBound <= window.end
            }
            let gaps = seen.gaps.filter {
                $0.inner.lowerBound <= window.end && $0.inner.upperBound >= window.start
            }
            add(
                way, round, window.calls.count, call: window.end - window.start, unprotected, gaps,
                seen)
        }
    }

    private func add(
        _ way: String, _ round: Int, _ count: Int, call: Double?,
        _ unprotected: [ClosedRange<Double>], _ gaps: [Observation.Gap], _ seen: Observation
    ) {
        table.add([
            "\(guest.settings.kernel)", "\(guest.settings.processors)", "\(reserved)",
            "\(initrd)", way, "\(round)", "\(count)", call.map(micro) ?? "",
            micro(unprotected.map { $0.upperBound - $0.lowerBound }.reduce(0, +)),
            // A gap that the observer missed is not one of length 0.
            gaps.isEmpty ? "" : micro(gaps.map(\.longest).reduce(0, +)), micro(seen.resolution),
        ])
    }

    /// A call each, or where a way unloads first all calls together.
    private func windows(
        _ calls: [Trace.Span], unloadsFirst: Bool
    ) -> [(start: Double, end: Double, calls: [Trace.Span])] {
        guard unloadsFirst, let first = calls.first, let last = calls.last else {
            return calls.map { ($0.start, $0.end, [$0]) }
        }
        return [(first.start, last.end, calls)]
    }
}
