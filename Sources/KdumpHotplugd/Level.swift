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

extension Level {
    /// Judges how bad a look is, and says why in one sentence.
    static func judge(
        _ look: Engine.Look, obstacle: Obstacle?, daemon: Report.Daemon
    ) -> (Level, String) {
        let meaning = Sentences.meaning(of: look)
        let acts = cure(obstacle, daemon, when: "is about to refresh it")
        switch look.verdict {
        case .unsupported, .nothingReserved, .nothingLoaded:
            return (.critical, meaning)
        case .lost, .broken, .missingParameter:
            return (.critical, meaning + acts)
        case .neverStale, .trusted:
            return (.ok, meaning)
        case .waiting(let coverage), .stale(let coverage):
            return (coverage.losesAnything ? .critical : .warning, meaning + acts)
        case .unverified:
            let later = cure(obstacle, daemon, when: "reloads it at the next hotplug event")
            return (.unknown, meaning + later)
        case .current:
            return judgeCurrent(look, meaning, obstacle, daemon)
        }
    }

    /// Judges an image that is right today by what the next hotplug would do to it.
    private static func judgeCurrent(
        _ look: Engine.Look, _ meaning: String, _ obstacle: Obstacle?, _ daemon: Report.Daemon
    ) -> (Level, String) {
        if let lack = look.observation.lacks.first {
            return (
                .warning,
                meaning + ", but memory that is hot-added will be lost: the crash kernel's command"
                    + " line lacks \(lack.need.parameter)"
            )
        }
        if look.observation.keepsUp == true { return (.ok, meaning) }
        if let obstacle {
            return (.warning, meaning + ", but cannot follow the next hotplug: \(obstacle)")
        }
        guard daemon.running else {
            let cure = "but nobody follows the next hotplug: start kdump-hotplugd.service"
            return (.warning, "\(meaning), \(cure)")
        }
        return (.ok, meaning)
    }

    /// What will happen to an image that is not known to be right.
    private static func cure(
        _ obstacle: Obstacle?, _ daemon: Report.Daemon, when: String
    ) -> String {
        if let obstacle { return "; it cannot be reloaded: \(obstacle)" }
        return daemon.running
            ? "; the daemon \(when)" : "; start kdump-hotplugd.service, which refreshes it"
    }
}

extension Verdict {
    /// What bars bringing the image up to date.
    func obstacle(_ ways: Engine.Ways) -> Obstacle? {
        isPatchable ? ways.obstacle : ways.reload
    }
}
