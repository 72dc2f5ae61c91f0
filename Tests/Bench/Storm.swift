// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// Much memory that comes at once, or comes and goes, and what following that costs each way.
///
/// A guest each: plugging it out again would take longer than a boot, and would be a storm itself.
struct Storm {
    /// What happens in it.
    enum Kind: String {
        /// All DIMMs come, one after the other.
        case growth
        /// They come and go at random.
        case random
    }

    let image: GuestImage
    let kernel: Kernel
    let kind: Kind
    /// How many DIMMs of how many MiB.
    let dimms: Int
    let size: Int
    let table: Table

    static let columns = [
        "kernel", "kind", "dimms", "dimm_mib", "way", "uevents", "duration_s", "ended", "refreshes",
        "locking_reads", "unprotected_us", "own_updates", "own_us", "loss", "stale_us",
        "stale_after_us", "cpu_us", "daemon_cpu_us", "udevd_cpu_us",
    ]
    /// How long DIMMs come and go, and how long it is quiet at most between two of them.
    private static let time = Duration.seconds(10)
    private static let longestPause = 0.4

    /// Where memory blocks are that large, in MiB.
    private static let block = 128

    func measure(_ way: Way) throws {
        let guest = try Machine.bench(kernel, image) {
            // Each 64 GiB bring a gigabyte of `struct page`.
            $0.memory = 2_048 + dimms * size / 64
            $0.slots = max(8, dimms)
        }
        try guest.follow(way)
        let header = try guest.headerAddress()
        let before = try guest.processorTime()
        let number = try guest.expect("cat /sys/kernel/uevent_seqnum")
        try guest.clearTrace()
        try guest.startWatching(pause: 2_000, header: header)
        switch kind {
        case .growth: try grow(guest)
        case .random: try change(guest)
        }
        let ended = try guest.waitUntilCalm(within: Way.patience)
        let after = try guest.processorTime()
        let events =
            (Int(try guest.expect("cat /sys/kernel/uevent_seqnum")) ?? 0)
            - (Int(number) ?? 0)
        write(
            way, events: events, ended: ended, try guest.trace(), try guest.seen(),
            time: after.subtracting(before))
    }

    private func grow(_ guest: Machine) throws {
        for index in 0..<dimms {
            try guest.hotAdd(megabytes: size, id: "dimm\(index)", waiting: false)
        }
        let blocks = dimms * size / Self.block
        try guest.expect(
            """
            until [ $(grep -c onlined: /sys/kernel/tracing/trace) -ge \(blocks) ]; do sleep 1; done
            """)
    }

    /// Plugs DIMMs in or out, whichever comes next, and pauses in between.
    ///
    /// Each way meets the same order of changes.
    private func change(_ guest: Machine) throws {
        var dice = SeededGenerator(seed: 13)
        var plugged: Set<Int> = []
        let begin = ContinuousClock.now
        while begin.duration(to: .now) < Self.time {
            Thread.sleep(forTimeInterval: .random(in: 0...Self.longestPause, using: &dice))
            let index = Int.random(in: 0..<dimms, using: &dice)
            if plugged.remove(index) != nil {
                try guest.hotRemove("dimm\(index)")
            } else {
                try guest.hotAdd(megabytes: size, id: "dimm\(index)")
                plugged.insert(index)
            }
        }
    }

    private func write(
        _ way: Way, events: Int, ended: Bool, _ trace: Trace, _ seen: Observation,
        time: ProcessorTime
    ) {
        let line = Timeline(
            unprotected: trace.unprotected, changes: trace.changes, coverage: seen.coverage)
        let times = line.changes.filter { $0.kind != .added }.map(\.time)
        let duration = (times.max() ?? 0) - (times.min() ?? 0)
        table.add([
            "\(kernel)", kind.rawValue, "\(dimms)", "\(size)", way.rawValue, "\(events)",
            micro(duration / 1_000_000), ended ? "yes" : "no",
            "\(trace.calls.count { !$0.isUnload })", "\(trace.lockingReads.count)",
            micro(line.unprotectedTime),
            "\(trace.ownUpdates.count)", micro(trace.ownUpdates.map(\.duration).reduce(0, +)),
            String(format: "%.4f", line.loss), micro(line.staleTime),
            micro(line.staleTimeAfterwards), "\(time.all)", "\(time.daemon)",
            "\(time.udevd)",
        ])
    }
}

/// The time of processors that the guest's services have used so far, in microseconds.
struct ProcessorTime {
    /// All services and the service manager, without the tests' own shell.
    let all: Int
    let daemon: Int
    let udevd: Int

    func subtracting(_ other: ProcessorTime) -> ProcessorTime {
        ProcessorTime(
            all: all - other.all, daemon: daemon - other.daemon, udevd: udevd - other.udevd)
    }
}

extension Machine {
    /// Reads what the control groups have counted.
    func processorTime() throws -> ProcessorTime {
        let text = try expect(
            """
            for group in system.slice init.scope system.slice/guest-agent.service \
            system.slice/kdump-hotplugd.service system.slice/systemd-udevd.service
            do sed -n 's/^usage_usec //p' /sys/fs/cgroup/$group/cpu.stat 2>/dev/null | grep . || echo 0
            done
            """)
        let numbers = text.split(separator: "\n").compactMap { Int($0) }
        guard numbers.count == 5 else { throw GuestError.garbled("cpu.stat: \(text)") }
        return ProcessorTime(
            all: numbers[0] + numbers[1] - numbers[2], daemon: numbers[3], udevd: numbers[4])
    }

    /// Where the core header of the loaded image lies, by `--check`.
    func headerAddress() throws -> UInt64 {
        let line = try check().output.split(separator: "\n").first { $0.hasPrefix("core header") }
        let word = line?.split(separator: " ").first { $0.hasPrefix("0x") }
        guard let word, let address = UInt64(word.dropFirst(2).prefix { $0 != "," }, radix: 16)
        else { throw GuestError.garbled("core header: \(line ?? "")") }
        return address
    }

    /// Waits until udev has nothing to do and nobody has loaded anything for five seconds, or is about
    /// to; returns whether it came to that within so many seconds.
    func waitUntilCalm(within seconds: Int) throws -> Bool {
        let loop = """
            calls() { grep -c 'sys_kexec.* -> ' /sys/kernel/tracing/trace; }
            end=$(($(date +%s) + \(seconds)))
            while [ $(date +%s) -lt $end ]; do
                before=$(calls); sleep 5
                udevadm settle --timeout 1 && [ "$(calls)" = "$before" ] &&
                    ! pgrep -x 'kexec|chain' && exit 0
            done
            exit 1
            """
        return try run(loop, timeout: .seconds(seconds + 60)).status == 0
    }
}
