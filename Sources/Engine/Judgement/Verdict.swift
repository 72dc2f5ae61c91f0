// SPDX-License-Identifier: Apache-2.0

/// What an observation means for a crash right now (DESIGN.md section 5).
package enum Verdict: Equatable {
    /// The kernel was built without kexec.
    case unsupported
    /// `crashkernel=` reserved no memory, so nothing can be loaded.
    case nothingReserved
    /// Nothing is loaded, and nobody but an administrator can have wished that.
    case nothingLoaded
    /// Nothing is loaded, but an image was and nobody asked for its removal.
    case lost
    /// The architecture's images never go stale.
    case neverStale
    /// The image describes the machine exactly.
    case current
    /// The image describes another machine, and the kernel, which keeps it up, may be about to see
    /// to that.
    case waiting(Coverage)
    /// The image describes another machine.
    case stale(Coverage)
    /// An image is there that a crash could not use; why.
    case broken(because: String)
    /// The image describes the machine, but its capture kernel could not read all of it.
    case missingParameter([CaptureNeed])
    /// The image cannot be looked at, but the kernel says that it keeps it up; why it cannot.
    case trusted(because: String)
    /// Nobody can tell whether the image describes the machine; why.
    case unverified(because: String)
}

extension Verdict {
    /// Judges an observation; pure, so every row of the table can be tested.
    package static func judge(_ seen: Observation) -> Verdict {
        guard let isLoaded = seen.support.isLoaded else { return .unsupported }
        guard isLoaded, seen.finding != .known(.nothing) else {
            if case .known(let ranges) = seen.reserved, ranges.isEmpty { return .nothingReserved }
            return seen.expectsImage ? .lost : .nothingLoaded
        }
        if seen.architecture == .z { return .neverStale }
        switch seen.finding {
        case .known(.broken(let reason)):
            return .broken(because: reason)
        case .known(.image(let image)) where image.integrity == .mismatch:
            return .broken(because: "its digest does not match its contents")
        case .known:
            switch seen.coverage {
            case .known(let coverage): return judge(coverage, seen)
            case .unknown(let reason): return judgeUnseen(seen, because: reason)
            }
        case .unknown(let reason):
            return judgeUnseen(seen, because: reason)
        }
    }

    /// Judges an image whose description of the machine has been read.
    private static func judge(_ coverage: Coverage, _ seen: Observation) -> Verdict {
        if coverage.isExact {
            let lacks = seen.lacks.filter { $0.urgency == .now }.map(\.need)
            return lacks.isEmpty ? .current : .missingParameter(lacks)
        }
        let isBeingSeenTo = seen.keepsUp == true && seen.staleFor < seen.grace
        return isBeingSeenTo ? .waiting(coverage) : .stale(coverage)
    }

    /// Judges an image that cannot be looked at by what is remembered of it.
    private static func judgeUnseen(_ seen: Observation, because reason: String) -> Verdict {
        if seen.keepsUp == true { return .trusted(because: reason) }
        guard let live = seen.live.value, let remembered = seen.remembered else {
            return .unverified(because: reason)
        }
        let coverage = Coverage(live: live, described: remembered)
        return coverage.isExact ? .current : .stale(coverage)
    }

    /// Whether the image must be brought up to date, given what made us look.
    ///
    /// What cannot be verified is refreshed after every trigger that may have made it stale:
    /// a routine look must not load again and again.
    package func needsRefresh(on trigger: Trigger) -> Bool {
        switch self {
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .current, .waiting,
            .trusted:
            false
        case .lost, .stale, .broken, .missingParameter:
            true
        case .unverified:
            trigger == .hotplug
        }
    }

    /// Whether the image is, or will be, brought up to date by loading it.
    ///
    /// Where the kernel keeps it up, `current` needs no loads of ours.
    package func needsLoads(keptUp: Bool) -> Bool {
        switch self {
        case .current, .waiting: !keptUp
        case .stale, .lost, .broken, .missingParameter, .unverified: true
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .trusted: false
        }
    }

    /// Whether a reload may ever be what is needed.
    package var mayNeedReload: Bool { self != .unsupported && self != .neverStale }

    /// Whether an image of this verdict may be brought up to date by a patch.
    package var isPatchable: Bool {
        switch self {
        case .current, .waiting, .stale: true
        default: false
        }
    }
}

/// What makes the engine look at the machine.
package enum Trigger: Equatable {
    /// Something may have been plugged: uevents, lost uevents, or the first look of a daemon that
    /// cannot know what it missed.
    case hotplug
    /// Nothing is known to have changed: a second look, a retry, a probe.
    case routine
}
