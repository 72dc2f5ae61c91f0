// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// The facts of one look, as `--check` prints them and the state file keeps them.
///
/// Its property names are the keys of `--check --json` (see the man page). It judges nothing:
/// `Assessment` does, and `ReportText` and `ReportJSON` write it.
struct Report: Codable, Equatable {
    /// The version of the schema of what this program writes.
    static let schemaVersion = 1

    /// A run of physical addresses.
    struct Range: Codable, Equatable {
        /// The first address, in hexadecimal; left out for unprivileged readers.
        var start: String?
        /// The size in bytes.
        let size: UInt64

        init(_ range: AddressRange) {
            start = "0x" + String(range.start, radix: 16)
            size = range.byteCount
        }
    }

    /// Whether the image is intact.
    enum Integrity: String, Codable, CaseIterable {
        /// The digest was computed and matches.
        case verified
        /// It does not match: a crash would hang.
        case mismatch
        /// The image has no digest.
        case none
        /// It was not or could not be checked.
        case unknown
    }

    /// The capture kernel's command line.
    struct CommandLine: Codable, Equatable {
        let text: String
        /// The parameters that this machine needs and that are missing.
        let lacks: [String]
    }

    /// What the look cost.
    struct Cost: Codable, Equatable {
        /// How many bytes of the kernel's memory were read.
        let bytesRead: UInt64
        /// How long it took, in microseconds.
        let microseconds: UInt64
    }

    /// The core header in reserved memory.
    struct CoreHeader: Codable, Equatable {
        var place: Range
        /// How many entries it has: notes and memory ranges.
        let entries: Int
    }

    /// The device tree of an image that has one.
    struct DeviceTree: Codable, Equatable {
        var place: Range
        /// The CPUs that it names, by the firmware's numbers.
        let cpus: [Int]
    }

    /// RAM, in bytes, without reserved memory.
    struct Memory: Codable, Equatable {
        let present: UInt64
        /// How much of it the crash kernel lists; left out if that is unknown.
        let covered: UInt64?
        /// The same in percent, rounded down: 100 only if nothing is missing.
        let coveredPercent: Int?
        var missing: [Range]
        var phantom: [Range]
    }

    /// CPUs by number.
    struct Processors: Codable, Equatable {
        let present: [Int]
        let missing: [Int]
        let phantom: [Int]
        /// Those on which the capture kernel could not boot; left out if it boots on any.
        let unbootable: [Int]?
    }

    /// How the image is refreshed.
    enum Method: String, Codable {
        /// Only the parts that changed are loaded.
        case patch
        /// The same image is loaded again from reserved memory, after a patch failed.
        case replay
        /// All of it is loaded from files.
        case reload
        /// The daemon does not refresh it: the kernel does, or it cannot go stale.
        case none
    }

    /// What a reload would load.
    struct Reload: Codable, Equatable {
        /// The paths of the kernel and the initrd; left out if none is configured.
        let kernel: String?
        let initrd: String?
        /// The file that sets them; left out if the operator's settings do.
        let from: String?
        /// How they differ from what is loaded; left out if they do not, or if that is unknown.
        let replaces: String?
        /// What prevents it; left out if nothing does.
        var obstacle: String?

        init(_ ways: Engine.Ways) {
            kernel = ways.configuration?.source.kernel
            initrd = ways.configuration?.source.initrd
            from = ways.configuration?.file
            replaces = ways.replacement.map { "\($0)" }
            obstacle = ways.reload.map { "\($0)" }
        }
    }

    /// The last refresh of a daemon.
    struct LastRefresh: Codable, Equatable {
        let method: Method
        /// When, in seconds since 1970.
        let time: Int
        /// How long the machine was unprotected, in microseconds.
        let window: UInt64
    }

    /// The state of the daemon.
    struct Daemon: Codable, Equatable {
        var running: Bool
        var pid: Int32?
        var lastRefresh: LastRefresh?
    }

    /// The version of `fleet/check.schema.json`; missing in files of older daemons.
    ///
    /// Keys may be added within a version, and neither renamed nor removed.
    var version: Int? = Report.schemaVersion
    let verdict: Severity
    var summary: String
    /// Whether a crash kernel is loaded; left out if that is unknown.
    let loaded: Bool?
    /// The system call that loaded the image; left out if that is unknown.
    let loader: String?
    var coreHeader: CoreHeader?
    let integrity: Integrity
    var deviceTree: DeviceTree?
    var commandLine: CommandLine?
    /// Whether the image holds the keys of an encrypted dump target; left out where that is unknown.
    let targetKeys: Bool?
    var reserved: [Range]?
    var memory: Memory?
    let cpus: Processors?
    let kernelUpdates: Bool
    let refresh: Method
    /// What a reload would load, and whether it could; left out if none is ever needed.
    var reload: Reload?
    var obstacles: [String]
    /// What prevents a patch, so that a reload is needed; left out if nothing does.
    var patchObstacle: String?
    var daemon: Daemon
    let audit: Cost?
}

extension Report.Method {
    /// The method of a refresh.
    init(_ method: Engine.Refresh.Method) {
        self =
            switch method {
            case .patch: .patch
            case .replay: .replay
            case .reload: .reload
            }
    }
}

extension Report {
    /// Makes the report of a look and its assessment.
    init(of look: Engine.Look, _ assessment: Assessment, ways: Engine.Ways, daemon: Daemon) {
        let seen = look.observation
        self.daemon = daemon
        audit = Cost(bytesRead: look.byteCount, microseconds: look.microseconds)
        (verdict, summary) = (assessment.severity, assessment.sentence)
        loaded = seen.support.isLoaded ?? false
        loader = seen.image?.maker?.rawValue
        coreHeader = seen.image.map {
            CoreHeader(place: Range($0.header.range), entries: $0.header.core.entries.count)
        }
        deviceTree = seen.image.flatMap { image in
            guard let cpus = image.bootProcessors,
                let part = image.parts.first(where: { $0.role == .bootParameters })
            else { return nil }
            return DeviceTree(place: Range(part.range), cpus: cpus.members.sorted())
        }
        integrity = Report.integrity(of: seen.finding)
        commandLine = seen.image?.commandLine.value.map {
            CommandLine(text: $0, lacks: seen.lacks.map(\.need.parameter))
        }
        targetKeys = seen.image?.holdsTargetKeys
        reserved = seen.reserved.value?.map(Range.init)
        kernelUpdates = seen.keepsUp == true
        let isPatchable = look.verdict.isPatchable
        let needsLoads = look.verdict.needsLoads(keptUp: kernelUpdates)
        refresh = needsLoads ? isPatchable && ways.patch == nil ? .patch : .reload : .none
        reload = look.verdict.mayNeedReload ? Reload(ways) : nil
        patchObstacle = isPatchable ? ways.patch.map { "\($0)" } : nil
        obstacles = assessment.obstacle.map { ["\($0)"] } ?? []
        guard let live = seen.live.value else {
            (memory, cpus) = (nil, nil)
            return
        }
        let coverage =
            seen.coverage.value ?? seen.remembered.map { Coverage(live: live, described: $0) }
        memory = Memory(
            present: live.ram.byteCount,
            covered: coverage.map { live.ram.byteCount - $0.missingMemory.byteCount },
            coveredPercent: coverage?.percentCovered(of: live.ram),
            missing: coverage?.missingMemory.ranges.map(Range.init) ?? [],
            phantom: coverage?.phantomMemory.ranges.map(Range.init) ?? [])
        cpus = Processors(
            present: live.cpus.members.sorted(),
            missing: coverage?.missingCPUs.members.sorted() ?? [],
            phantom: coverage?.phantomCPUs.members.sorted() ?? [],
            unbootable: seen.image?.bootProcessors == nil
                ? nil : coverage?.unbootableCPUs.members.sorted())
    }

    private static func integrity(of finding: Fact<Audit.Finding>) -> Integrity {
        switch finding.value?.image?.integrity {
        case .verified: .verified
        case .mismatch: .mismatch
        case .some(.none): .none
        case .unknown, nil: .unknown
        }
    }
}
