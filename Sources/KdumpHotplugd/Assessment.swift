// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// What a look means: how bad it is, and why, in one sentence; pure.
///
/// It is made once from each look. The probe, the journal and the status line only print it, so
/// they cannot disagree.
struct Assessment: Equatable {
    /// How bad it is.
    let severity: Severity
    /// What a crash now would leave, why, and what happens next.
    ///
    /// It starts in lower case and has no full stop, so that it can follow a colon.
    let sentence: String
    /// What prevents the refresh that is needed now or after the next hotplug.
    let obstacle: Obstacle?

    /// Assesses a look.
    ///
    /// `ways` says what prevents a patch and a reload; `isLoading`, whether the daemon was in a reload
    /// shortly before or after it.
    init(of look: Engine.Look, ways: Engine.Ways, daemonRuns: Bool, isLoading: Bool = false) {
        let verdict = look.verdict
        let isNeeded = verdict.needsLoads(keptUp: look.observation.keepsUp == true)
        obstacle = isNeeded ? verdict.isPatchable ? ways.obstacle : ways.reload : nil
        let caveat = Assessment.caveat(of: look, ways, obstacle, daemonRuns)
        severity =
            switch verdict {
            case .unsupported, .nothingReserved, .nothingLoaded, .lost, .broken, .missingParameter:
                .critical
            case .waiting(let coverage), .stale(let coverage):
                coverage.losesAnything ? .critical : .warning
            case .current: caveat == nil ? .ok : .warning
            case .neverStale, .leftToFirmware, .trusted: .ok
            case .unverified: .unknown
            }
        if daemonRuns, isLoading, verdict == .lost || verdict == .nothingLoaded {
            sentence = "a crash now leaves no dump: kdump-hotplugd is loading the crash kernel"
            return
        }
        let next = caveat ?? Assessment.next(for: look, ways, obstacle, daemonRuns) ?? ""
        sentence = Sentences.meaning(of: look) + next
    }

    /// The state of a machine that could not be looked at.
    init(unknownBecause reason: String) {
        (severity, sentence, obstacle) = (.unknown, reason, nil)
    }

    /// The state of a machine whose files could not be read.
    init(unreadable error: SystemError) {
        self.init(unknownBecause: "the machine cannot be read: \(error)")
    }

    /// Why an image that is right now will not be after the next hotplug; `nil` if it will.
    private static func caveat(
        of look: Engine.Look, _ ways: Engine.Ways, _ obstacle: Obstacle?, _ daemonRuns: Bool
    ) -> String? {
        guard look.verdict == .current else { return nil }
        let lacks = look.observation.lacks.map(\.need.parameter)
        if !lacks.isEmpty {
            // A patch cannot add the parameter, so the daemon reloads as soon as it is needed.
            let cure = daemonRuns && ways.reload == nil ? " until kdump-hotplugd reloads it" : ""
            return ", but its command line lacks \(Sentences.list(lacks)):"
                + " a dump would lose memory that is hot-added later\(cure)"
        }
        if look.observation.keepsUp == true { return nil }
        if let obstacle {
            return ", but it cannot be refreshed after the next hotplug: \(obstacle)"
        }
        if daemonRuns, ways.patch != nil, case .kernel? = ways.replacement {
            return ", but after the next hotplug it is replaced by"
                + " \(Sentences.replacement(in: ways))"
        }
        return daemonRuns
            ? nil
            : ", but nothing refreshes it after the next hotplug: start kdump-hotplugd.service"
    }

    /// What happens next; `nil` if nothing has to.
    private static func next(
        for look: Engine.Look, _ ways: Engine.Ways, _ obstacle: Obstacle?, _ daemonRuns: Bool
    ) -> String? {
        switch look.verdict {
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .leftToFirmware, .trusted:
            return nil
        case .current where look.observation.keepsUp == true:
            return "; the kernel updates it itself"
        case .current: return nil
        case .waiting: return "; the kernel is expected to update it"
        case .stale, .lost, .broken, .missingParameter, .unverified: break
        }
        // A daemon that starts tries again.
        if ways.didNotHelp && daemonRuns {
            return "; a reload did not help, and kdump-hotplugd tries again only after the next"
                + " hotplug: restart the kdump service of this distribution, then run"
                + " systemctl reload kdump-hotplugd"
        }
        if let obstacle { return "; it cannot be reloaded: \(obstacle)" }
        let action = look.verdict.isPatchable ? "refresh" : "reload"
        guard daemonRuns else { return "; start kdump-hotplugd.service to \(action) it" }
        // A routine look does not reload what it cannot verify.
        let time = look.verdict.needsRefresh(on: .routine) ? "" : " after the next hotplug"
        return "; kdump-hotplugd will \(action) it\(time)"
    }
}
