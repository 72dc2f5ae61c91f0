// SPDX-License-Identifier: Apache-2.0

/// How long a daemon waits before its first look because the daemons before it have crashed; pure.
///
/// systemd starts a crashed daemon again after a second, and what crashed it may do so again: in each
/// round it would look and perhaps load. systemd itself can slow restarts down only since version 254
/// (RestartSteps=), so the daemon does it. After the first crash it looks at once: most come alone.
struct CrashLoop: Codable, Equatable {
    /// How many daemons before this one have crashed in a row.
    let crashes: Int
    /// When this one starts, in microseconds since boot.
    let start: UInt64

    /// How long a daemon must have lived after its wait to end the row, in microseconds.
    ///
    /// Ten minutes: longer than the watchdog's minute and two scrubs.
    static let calm: UInt64 = 600_000_000
    /// The longest wait, in microseconds: as long as after a failed load.
    private static let longest: UInt64 = 60_000_000

    /// Notes a start at `now`; `last` is what the daemon before left, `nil` where it was told to stop.
    init(after last: CrashLoop?, now: UInt64) {
        start = now
        guard let last else {
            crashes = 0
            return
        }
        let isCalm = now >= last.start && now - last.start >= last.wait + CrashLoop.calm
        crashes = isCalm ? 1 : min(last.crashes, 1_000) + 1
    }

    /// How long to wait before the first look, in microseconds: nothing after the first crash, then 2 s,
    /// doubling up to a minute.
    var wait: UInt64 {
        guard crashes > 1 else { return 0 }
        // Six doublings exceed the longest.
        return min(1_000_000 << UInt64(min(crashes - 1, 6)), CrashLoop.longest)
    }

    /// Why the machine is not looked at yet.
    var sentence: String {
        "kdump-hotplugd has crashed \(crashes) times in a row and waits"
            + " \(Sentences.duration(microseconds: wait)) before it looks again"
    }
}
