// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The health check: looks at the machine as the daemon does, changes nothing and prints the
/// result.
///
/// Without root's rights it prints the daemon's last report, and how old that is; see `LastReport`.
struct Check {
    private let root: SystemRoot
    private let source: ImageSource?
    private let patches: Bool?
    private let state: StateDirectory
    private let depth: Engine.Depth

    /// Creates a check of the machine below `root`, with so much of the image read.
    ///
    /// Where an argument is `nil`, the daemon's own setting is used.
    init(root: SystemRoot, source: ImageSource?, patches: Bool?, depth: Engine.Depth) {
        self.root = root
        self.source = source
        self.patches = patches
        self.depth = depth
        state = StateDirectory(below: root)
    }

    /// What a check has found.
    struct Finding {
        let report: Report
        /// A line for people that names its source.
        var note: [String] = []
        /// How old the report is, in seconds; `nil` if there is none.
        var age: Int? = 0
        /// How old it may be, in seconds.
        var lifetime = LastReport.usualLifetime
    }

    /// Prints the report and returns the exit code.
    func run(_ form: CheckForm) -> Int32 {
        let now = Int(time(nil))
        let finding = finding(now: now)
        if let output = form.output(of: finding, now: now) { print(output) }
        return form.exits.code(for: finding.report.verdict)
    }

    /// Looks, or asks the daemon's last report.
    private func finding(now: Int) -> Finding {
        let pid = state.runningDaemon()
        guard geteuid() == 0 || !root.prefix.isEmpty else { return lastReport(now: now, pid: pid) }
        let remembered = state.remembered()
        // Without grace time: a crash now does not wait for the kernel's update.
        var engine = Engine(
            root: root, source: source ?? remembered?.source,
            patches: patches ?? remembered?.patches ?? true,
            savedState: state.engineState(), grace: 0)
        let daemon = Report.Daemon(
            running: pid != nil, pid: pid, lastRefresh: remembered?.lastRefresh)
        // A reload may begin or end during the look.
        let isReloading = state.hasReloadUnderWay
        do throws(SystemError) {
            let look = try engine.look(depth, now: MonotonicClock.microseconds)
            // Before the service has run, its settings are not known here.
            let isKnown = source != nil || remembered != nil
            let found = engine.ways(given: look)
            let ways = isKnown ? found : found.withoutSettings
            let assessment = Assessment(
                of: look, ways: ways, daemonRuns: daemon.running,
                isLoading: isReloading || state.hasReloadUnderWay)
            return Finding(report: Report(of: look, assessment, ways: ways, daemon: daemon))
        } catch {
            return Finding(report: Report(Assessment(unreadable: error), daemon: daemon))
        }
    }

    /// The report that the daemon made last.
    private func lastReport(now: Int, pid: Int32?) -> Finding {
        let state = state.read("state.json").flatMap { ReportJSON.value(State.self, from: $0) }
        let last = LastReport(state, now: now, pid: pid)
        return Finding(
            report: last.report, note: last.note, age: last.age, lifetime: last.lifetime)
    }
}

extension Report {
    /// Makes the report of a machine that could not be read.
    init(_ assessment: Assessment, daemon: Daemon) {
        (verdict, summary) = (assessment.severity, assessment.sentence)
        loaded = nil
        loader = nil
        coreHeader = nil
        integrity = .unknown
        commandLine = nil
        targetKeys = nil
        reserved = nil
        memory = nil
        cpus = nil
        kernelUpdates = false
        refresh = .none
        reload = nil
        obstacles = []
        patchObstacle = nil
        self.daemon = daemon
        audit = nil
    }
}
