// SPDX-License-Identifier: Apache-2.0

/// What an observation means for a crash right now, and what follows from that for loads.
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
    /// The firmware makes the dump, without a crash kernel.
    case leftToFirmware
    /// The image describes the machine exactly.
    case current
    /// The image describes another machine, and the kernel, which keeps it up, is expected to update
    /// it.
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
    /// Judges what was seen.
    package static func judge(_ facts: Facts) -> Verdict {
        if facts.isDumpedByFirmware { return .leftToFirmware }
        guard let isLoaded = facts.isLoaded else { return .unsupported }
        if case .known(.nothing) = facts.image { return judgeAbsent(facts) }
        guard isLoaded else { return judgeAbsent(facts) }
        guard facts.imagesGoStale else { return .neverStale }
        switch (facts.image, facts.coverage) {
        case (.known(.broken(let reason)), _):
            return .broken(because: reason)
        case (.known(.readable(isDamaged: true)), _):
            return .broken(because: "its digest does not match its contents")
        case (.known, .known(let coverage)):
            return judge(coverage, facts)
        case (.unknown(let reason), _), (.known, .unknown(let reason)):
            return judgeUnseen(facts, because: reason)
        }
    }

    /// Judges a machine on which nothing is loaded.
    private static func judgeAbsent(_ facts: Facts) -> Verdict {
        guard facts.isReserved else { return .nothingReserved }
        return facts.expectsImage ? .lost : .nothingLoaded
    }

    /// Judges an image whose description of the machine has been read.
    private static func judge(_ coverage: Coverage, _ facts: Facts) -> Verdict {
        if coverage.isExact {
            let lacks = facts.lacks.filter { $0.urgency == .now }.map(\.need)
            return lacks.isEmpty ? .current : .missingParameter(lacks)
        }
        let isExpected = facts.keepsUp == true && facts.staleFor < facts.grace
        return isExpected ? .waiting(coverage) : .stale(coverage)
    }

    /// Judges an image that cannot be looked at by what is remembered of it.
    private static func judgeUnseen(_ facts: Facts, because reason: String) -> Verdict {
        if facts.keepsUp == true {
            // What such a kernel writes there itself, only it can read: the capture kernel sees noise.
            guard !facts.isEncrypted else { return .unverified(because: reason) }
            return .trusted(because: reason)
        }
        guard let coverage = facts.rememberedCoverage else { return .unverified(because: reason) }
        return coverage.isExact ? .current : .stale(coverage)
    }

    /// Whether the image must be brought up to date, given what made us look.
    ///
    /// What cannot be verified is refreshed after every trigger that may have made it stale:
    /// a routine look must not load again and again.
    package func needsRefresh(on trigger: Trigger) -> Bool {
        switch self {
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .leftToFirmware,
            .current, .waiting, .trusted:
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
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .leftToFirmware,
            .trusted:
            false
        }
    }

    /// Whether a reload may ever be what is needed.
    package var mayNeedReload: Bool {
        switch self {
        case .unsupported, .neverStale, .leftToFirmware: false
        default: true
        }
    }

    /// Whether an image of this verdict may be brought up to date by a patch.
    package var isPatchable: Bool {
        switch self {
        case .current, .waiting, .stale: true
        default: false
        }
    }
}
