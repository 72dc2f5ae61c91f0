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

    /// Creates a check of the machine below `root`.
    ///
    /// Where an argument is `nil`, the daemon's own setting is used.
    init(root: SystemRoot, source: ImageSource?, patches: Bool?) {
        self.root = root
        self.source = source
        self.patches = patches
        state = StateDirectory(below: root)
    }

    /// Prints the report and returns the exit code.
    func run(asJSON: Bool) -> Int32 {
        let now = Int(time(nil))
        let (report, note) = report(now: now)
        if asJSON {
            print(String(decoding: ReportJSON.bytes(of: report, pretty: true), as: UTF8.self))
        } else {
            let lines = ReportText.lines(of: report, now: now, inColour: Check.isTerminal)
            print((lines + note).joined(separator: "\n"))
        }
        return report.verdict.exitCode
    }

    /// Whether standard output is a terminal whose user has not asked for plain text.
    ///
    /// The corresponding C functions are `isatty` and `getenv`; NO_COLOR is the custom of
    /// no-color.org.
    private static var isTerminal: Bool {
        let wantsPlain = unsafe getenv("NO_COLOR") != nil
        return isatty(STDOUT_FILENO) == 1 && !wantsPlain
    }

    /// The report, and a line for people that names its source.
    private func report(now: Int) -> (Report, note: [String]) {
        let pid = state.runningDaemon()
        guard geteuid() == 0 || !root.prefix.isEmpty else { return lastReport(now: now, pid: pid) }
        let remembered = state.remembered()
        // Without grace time: a crash now does not wait for the kernel's update.
        var engine = Engine(
            root: root, source: source ?? remembered?.source,
            patches: patches ?? remembered?.patches ?? true,
            savedState: remembered?.engine ?? Engine.SavedState(), grace: 0)
        let daemon = Report.Daemon(
            running: pid != nil, pid: pid, lastRefresh: remembered?.lastRefresh)
        do throws(SystemError) {
            let look = try engine.look(.thorough, now: MonotonicClock.microseconds)
            // Before the service has run, its settings are not known here.
            let isKnown = source != nil || remembered != nil
            let found = engine.ways(given: look)
            let ways = isKnown ? found : found.withoutSettings
            let assessment = Assessment(of: look, ways: ways, daemonRuns: daemon.running)
            return (Report(of: look, assessment, ways: ways, daemon: daemon), [])
        } catch {
            return (Report(Assessment(unreadable: error), daemon: daemon), [])
        }
    }

    /// The report that the daemon made last.
    private func lastReport(now: Int, pid: Int32?) -> (Report, note: [String]) {
        let state = state.read("state.json").flatMap { ReportJSON.value(State.self, from: $0) }
        let last = LastReport(state, now: now, pid: pid)
        return (last.report, last.note)
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
