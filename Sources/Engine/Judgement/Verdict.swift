// SPDX-License-Identifier: Apache-2.0

/// What an observation means for a crash right now, and what follows from that for loads.
package enum Verdict: Hashable, Codable {
    /// The kernel was built without kexec.
    case unsupported
    /// `crashkernel=` reserved no memory, so nothing can be loaded.
    case nothingReserved
    /// Nothing is loaded, and no load of ours lost it: an administrator may have unloaded it.
    case nothingLoaded
    /// Nothing is loaded, because a load of ours failed or was killed.
    case lost
    /// The architecture's images never go stale.
    case neverStale
    /// The firmware makes the dump, without a crash kernel.
    case leftToFirmware
    /// The image describes the machine exactly.
    case current
    /// The image is stale, and the kernel, which updates it itself, is expected to do so.
    case waiting(Coverage)
    /// The image does not describe the machine as it is now.
    case stale(Coverage)
    /// There is an image, but a crash could not use it; the reason.
    case broken(because: String)
    /// The image describes the machine, but without these parameters its capture kernel cannot dump
    /// all of it.
    case missingParameter([CaptureNeed])
    /// The image cannot be read, but the kernel says that it updates it itself; why it cannot.
    case trusted(because: String)
    /// It is unknown whether the image describes the machine; why.
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
        // A kernel updates the image when memory goes offline, and lets go of it later without another
        // update (mm/memory_hotplug.c, `try_remove_memory`). What it lists then is for us to take out.
        let isExpected =
            facts.keepsUp == true && coverage.losesAnything && facts.staleFor < facts.grace
        return isExpected ? .waiting(coverage) : .stale(coverage)
    }

    /// Judges an image that cannot be read by what is remembered of it.
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
    /// An image that cannot be verified is refreshed after every hotplug, because it may be stale
    /// then; not at each of its events, and not at routine looks, again and again.
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
    /// If the kernel updates it itself, `current` needs no loads of ours.
    package func needsLoads(keptUp: Bool) -> Bool {
        switch self {
        case .current, .waiting: !keptUp
        case .stale, .lost, .broken, .missingParameter, .unverified: true
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .leftToFirmware,
            .trusted:
            false
        }
    }

    /// Whether curing it is worth the last load that `kernel.kexec_load_limit_panic` allows.
    ///
    /// If that one fails after the kernel has dropped the image, there is no dump until the next boot.
    /// That is a small risk of losing everything. It is less than the certain loss of what a dump
    /// lacks, and more than what an entry costs that describes memory or CPUs which are gone. What is
    /// only suspected is not worth it either.
    package var isWorthTheLastLoad: Bool {
        switch self {
        case .waiting(let coverage), .stale(let coverage): coverage.losesAnything
        case .unverified: false
        default: true
        }
    }

    /// Whether a reload may ever be needed.
    package var mayNeedReload: Bool {
        switch self {
        case .unsupported, .neverStale, .leftToFirmware: false
        default: true
        }
    }

    /// Whether a patch can refresh an image with this verdict.
    package var isPatchable: Bool {
        switch self {
        case .current, .waiting, .stale: true
        default: false
        }
    }
}
