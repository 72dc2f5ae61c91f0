// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Engine
internal import Glibc

/// The command line: runs the daemon or the health check with the given settings.
///
/// It only parses and rejects arguments; the daemon is `Daemon`, the health check is `Check`.
@main
struct Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kdump-hotplugd",
        abstract: "Keeps the loaded crash kernel up to date when CPUs or memory are hot-plugged.",
        discussion: """
            Without --check it runs as a daemon; systemd starts it. With --check it reports what a \
            crash now would leave, and exits with 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN).
            """,
        version: "kdump-hotplugd 0.1.0")

    @Flag(help: "Report what a crash now would leave, and exit.")
    var check = false

    @Flag(help: "Print what has happened to the crash kernel, and exit.")
    var history = false

    @Flag(help: "With --check or --history: print one JSON object.")
    var json = false

    @Flag(help: "With --check: print nothing; the exit code says it.")
    var quiet = false

    @Flag(help: "With --check: do not read all of the image; damage would not be seen.")
    var quick = false

    @Option(
        help:
            "With --check: what the exit code means: plugin, as above; npd, for node-problem-detector: 0 complete, 1 incomplete or none, 2 unknown."
    )
    var exit: ExitConvention?

    @Flag(
        help: "Answer systemd-report on standard input and output; a socket unit starts this.")
    var reportVarlink = false

    @Flag(help: "Do not use colours, also on a terminal; NO_COLOR does the same.")
    var noColor = false

    @Option(help: "The kernel that a reload loads (default: the one that the distribution loads).")
    var kernel: String?

    @Option(help: "The initrd that a reload loads.")
    var initrd: String?

    @Option(help: "The crash kernel's command line (default: that of the loaded one).")
    var commandLine: String?

    @Option(help: "Milliseconds without an event that end a burst (default: 100).")
    var settle: String?

    @Option(help: "Seconds between checks without an event; 0: no such checks (default: 300).")
    var scrub: String?

    @Flag(help: "Never patch; always reload the whole crash kernel.")
    var noPatch = false

    @Option(help: "With --check or --history: read the machine's files below this directory.")
    var root: String?

    /// The version, without the name of the program.
    static var version: String {
        String(configuration.version.drop { $0 != " " }.dropFirst())
    }

    /// The exit code of a daemon that is not root (EX_NOPERM of sysexits.h).
    private static let noPermission: Int32 = 77

    /// Rejects options that contradict each other.
    func validate() throws {
        if json && !check && !history {
            throw ValidationError("--json needs --check or --history.")
        }
        if reportVarlink && (check || history) {
            throw ValidationError("--report-varlink excludes --check and --history.")
        }
        if check && history { throw ValidationError("--check and --history exclude each other.") }
        if quiet && !check { throw ValidationError("--quiet needs --check.") }
        if quick && !check { throw ValidationError("--quick needs --check.") }
        if exit != nil && !check { throw ValidationError("--exit needs --check.") }
        if quiet && json { throw ValidationError("--quiet and --json exclude each other.") }
        if root != nil && !check && !history {
            throw ValidationError(
                "--root needs --check or --history: the daemon changes the real machine.")
        }
        do {
            _ = try settings()
        } catch {
            throw ValidationError("\(error).")
        }
    }

    /// Runs the health check or the daemon.
    func run() throws {
        if reportVarlink { throw ExitCode(MetricsConnection.run()) }
        let settings = try settings()
        if history {
            throw ExitCode(HistoryCheck.run(below: SystemRoot(root ?? "/"), asJSON: json))
        }
        if check {
            let health = Check(
                root: SystemRoot(root ?? "/"), source: settings.source,
                patches: settings.patches ? nil : false, depth: quick ? .cheap : .thorough)
            throw ExitCode(health.run(form))
        }
        guard geteuid() == 0 else {
            Command.complain("the daemon must run as root: start kdump-hotplugd.service")
            throw ExitCode(Command.noPermission)
        }
        throw ExitCode(Command.live(settings))
    }

    /// Runs the daemon and returns the exit code.
    private static func live(_ settings: Settings) -> Int32 {
        do throws(SystemError) {
            return try Daemon(settings).run()
        } catch {
            complain("\(error)")
            return EXIT_FAILURE
        }
    }

    /// What the health check prints.
    private var form: CheckForm {
        CheckForm(
            text: quiet ? .nothing : json ? .json : .lines, exits: exit ?? .plugin,
            isForPeople: CheckForm.isTerminal,
            wantsColour: !noColor && !CheckForm.environmentWantsPlain)
    }

    private func settings() throws(Settings.Flaw) -> Settings {
        try Settings(
            kernel: kernel, initrd: initrd, commandLine: commandLine, settle: settle, scrub: scrub,
            noPatch: noPatch)
    }

    /// Writes one sentence to standard error.
    static func complain(_ sentence: String) {
        let line = "kdump-hotplugd: \(sentence)\n"
        _ = unsafe write(STDERR_FILENO, line, line.utf8.count)
    }
}

extension ExitConvention: ExpressibleByArgument {}
