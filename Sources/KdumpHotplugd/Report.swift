// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// How bad it is, in the words and exit codes of monitoring plugins.
enum Level: String, Codable {
    /// A crash now would leave a complete dump.
    case ok = "OK"
    /// It would, or nearly, but something needs attention.
    case warning = "WARNING"
    /// It would leave none, or an incomplete one.
    case critical = "CRITICAL"
    /// Nobody can tell.
    case unknown = "UNKNOWN"

    /// The exit code of `--check`, by the convention of monitoring plugins.
    var exitCode: Int32 {
        switch self {
        case .ok: 0
        case .warning: 1
        case .critical: 2
        case .unknown: 3
        }
    }
}

/// The facts of one look, as `--check` prints them and the state file keeps them.
///
/// Its property names are the keys of `--check --json` (DESIGN.md section 8, and the man page). It
/// is made from a look and knows how bad that is; how it is written is `ReportText`'s and
/// `ReportJSON`'s business.
struct Report: Codable, Equatable {
    /// A run of physical addresses.
    struct Range: Codable, Equatable {
        /// The first address, in hexadecimal; left out where the reader may not know it.
        var start: String?
        /// The size in bytes.
        let size: UInt64

        init(_ range: AddressRange) {
            start = "0x" + String(range.start, radix: 16)
            size = range.byteCount
        }
    }

    /// RAM, in bytes, without reserved memory.
    struct Memory: Codable, Equatable {
        let present: UInt64
        /// How much of it the crash kernel lists; left out where nobody can tell.
        let covered: UInt64?
        var missing: [Range]
        var phantom: [Range]
    }

    /// CPUs by number.
    struct Processors: Codable, Equatable {
        let present: [Int]
        let missing: [Int]
        let phantom: [Int]
    }

    /// How the image is brought up to date.
    enum Method: String, Codable {
        /// By loading all of it again.
        case reload
        /// Not at all: the kernel does, or nothing can go stale.
        case none
    }

    /// The last refresh of a daemon.
    struct LastRefresh: Codable, Equatable {
        let method: Method
        /// When, in seconds since 1970.
        let time: Int
        /// How long the machine was unprotected, in microseconds.
        let window: UInt64
    }

    /// What is known of the daemon.
    struct Daemon: Codable, Equatable {
        var running: Bool
        var pid: Int32?
        var lastRefresh: LastRefresh?
    }

    let verdict: Level
    let summary: String
    /// Whether a crash kernel is loaded; left out where nobody can tell.
    let loaded: Bool?
    /// Who loaded the image: `kdump-hotplugd`, or left out where nobody can tell.
    let loader: String?
    var reserved: [Range]?
    var memory: Memory?
    let cpus: Processors?
    let kernelKeepsUp: Bool
    let refresh: Method
    let obstacles: [String]
    var daemon: Daemon
}

extension Report {
    /// Makes the report of a look.
    init(of look: Engine.Look, obstacle: Obstacle?, daemon: Daemon) {
        let seen = look.observation
        let obstacle = Report.needsLoads(look.verdict) ? obstacle : nil
        self.daemon = daemon
        (verdict, summary) = Report.judge(look, obstacle: obstacle, daemon: daemon)
        loaded = seen.support.isLoaded ?? false
        loader = loaded == true && seen.described != nil ? "kdump-hotplugd" : nil
        reserved = seen.reserved.value?.map(Range.init)
        kernelKeepsUp = seen.keepsUp == true
        refresh = Report.needsLoads(look.verdict) ? .reload : .none
        obstacles = obstacle.map { ["\($0)"] } ?? []
        guard let live = seen.live.value else {
            (memory, cpus) = (nil, nil)
            return
        }
        let coverage = seen.described.map { Coverage(live: live, described: $0) }
        memory = Memory(
            present: live.ram.byteCount,
            covered: coverage.map { live.ram.byteCount - $0.missingMemory.byteCount },
            missing: coverage?.missingMemory.ranges.map(Range.init) ?? [],
            phantom: coverage?.phantomMemory.ranges.map(Range.init) ?? [])
        cpus = Processors(
            present: live.cpus.members.sorted(),
            missing: coverage?.missingCPUs.members.sorted() ?? [],
            phantom: coverage?.phantomCPUs.members.sorted() ?? [])
    }

    /// The report without the physical addresses that the kernel hides from ordinary users.
    var withoutAddresses: Report {
        var report = self
        let hide: (Range) -> Range = { range in
            var range = range
            range.start = nil
            return range
        }
        report.reserved = reserved?.map(hide)
        report.memory?.missing = memory?.missing.map(hide) ?? []
        report.memory?.phantom = memory?.phantom.map(hide) ?? []
        return report
    }

    /// Whether a verdict is one in which the image is, or will be, brought up to date by loading it.
    private static func needsLoads(_ verdict: Verdict) -> Bool {
        switch verdict {
        case .current, .stale, .lost, .unverified: true
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .kernelKeepsUp: false
        }
    }

    /// How bad a look is, and the one sentence that says why.
    private static func judge(
        _ look: Engine.Look, obstacle: Obstacle?, daemon: Daemon
    ) -> (Level, String) {
        let meaning = Sentences.meaning(of: look)
        switch look.verdict {
        case .unsupported, .nothingReserved, .nothingLoaded:
            return (.critical, meaning)
        case .lost:
            return (.critical, meaning + (obstacle.map { "; \($0)" } ?? ""))
        case .neverStale, .kernelKeepsUp:
            return (.ok, meaning)
        case .stale(let coverage):
            let level = coverage.losesAnything ? Level.critical : .warning
            return (level, meaning + cure(obstacle, daemon, when: "is about to reload it"))
        case .unverified:
            let when = "reloads it at the next hotplug event"
            return (.unknown, meaning + cure(obstacle, daemon, when: when))
        case .current:
            if let obstacle {
                return (.warning, meaning + ", but cannot follow the next hotplug: \(obstacle)")
            }
            guard daemon.running else {
                return (
                    .warning,
                    meaning + ", but nobody follows the next hotplug: start kdump-hotplugd.service"
                )
            }
            return (.ok, meaning)
        }
    }

    /// What will happen to an image that is not known to be right.
    private static func cure(_ obstacle: Obstacle?, _ daemon: Daemon, when: String) -> String {
        if let obstacle { return "; it cannot be reloaded: \(obstacle)" }
        return daemon.running
            ? "; the daemon \(when)"
            : "; start kdump-hotplugd.service, which reloads it"
    }
}
