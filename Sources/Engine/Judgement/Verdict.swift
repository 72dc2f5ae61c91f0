// SPDX-License-Identifier: Apache-2.0

/// All that is known of the machine and its crash kernel at one moment.
package struct Observation: Equatable {
    /// The architecture the kernel runs on.
    package var architecture: Architecture
    /// The machine as it is now.
    package var live: Fact<LiveSystem>
    /// The crash kernel's reserved ranges; known and empty without `crashkernel=`.
    package var reserved: Fact<[AddressRange]>
    /// What the kernel says without being locked.
    package var support: KernelSupport
    /// The answer of `crash_hotplug`; `nil` where the kernel has no such feature.
    package var keepsUp: Bool?
    /// The machine as the loaded image describes it; `nil` where nobody can tell.
    package var described: LiveSystem?
    /// Whether an image must be there: it was, and what removed it was no administrator's wish.
    package var expectsImage: Bool

    /// Creates an observation from its parts.
    package init(
        architecture: Architecture = .current, live: Fact<LiveSystem>,
        reserved: Fact<[AddressRange]>, support: KernelSupport, keepsUp: Bool? = nil,
        described: LiveSystem? = nil, expectsImage: Bool = false
    ) {
        self.architecture = architecture
        self.live = live
        self.reserved = reserved
        self.support = support
        self.keepsUp = keepsUp
        self.described = described
        self.expectsImage = expectsImage
    }
}

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
    /// The kernel updates the image by itself.
    case kernelKeepsUp
    /// The image describes the machine exactly.
    case current
    /// The image describes another machine.
    case stale(Coverage)
    /// Nobody can tell whether the image describes the machine; why.
    case unverified(because: String)
}

extension Verdict {
    /// Judges an observation; pure, so every row of the table can be tested.
    package static func judge(_ seen: Observation) -> Verdict {
        guard let isLoaded = seen.support.isLoaded else { return .unsupported }
        guard isLoaded else {
            if case .known(let ranges) = seen.reserved, ranges.isEmpty { return .nothingReserved }
            return seen.expectsImage ? .lost : .nothingLoaded
        }
        if seen.architecture == .z { return .neverStale }
        if seen.keepsUp == true { return .kernelKeepsUp }
        switch (seen.live, seen.described) {
        case (.unknown(let reason), _):
            return .unverified(because: reason)
        case (.known, nil):
            return .unverified(because: "the image was not loaded by this daemon")
        case (.known(let live), .some(let described)):
            let coverage = Coverage(live: live, described: described)
            return coverage.isExact ? .current : .stale(coverage)
        }
    }

    /// Whether the image must be brought up to date, given what made us look.
    ///
    /// What cannot be verified is refreshed once for every occasion on which it may have gone stale:
    /// a look that nothing occasioned must not load again and again.
    package func needsRefresh(on occasion: Occasion) -> Bool {
        switch self {
        case .unsupported, .nothingReserved, .nothingLoaded, .neverStale, .kernelKeepsUp, .current:
            false
        case .lost, .stale:
            true
        case .unverified:
            occasion == .hotplug
        }
    }
}

/// What makes the engine look at the machine.
package enum Occasion: Equatable {
    /// Something may have been plugged: uevents, lost uevents, or the first look of a daemon that
    /// cannot know what it missed.
    case hotplug
    /// Nothing is known to have changed: a second look, a retry, a probe.
    case routine
}
