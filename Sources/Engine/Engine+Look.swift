// SPDX-License-Identifier: Apache-2.0

/// What one look means for the next step of the engine; pure.
///
/// Whether the image is right at all is for ``Verdict`` to say.
extension Engine.Look {
    /// Whether what this look saw to be stale is right by now: the kernel has brought it up to date, or
    /// the machine is again what it was.
    func isCured(by latest: Engine.Look) -> Bool {
        switch verdict {
        case .stale, .missingParameter: !latest.verdict.needsRefresh(on: .hotplug)
        default: false
        }
    }

    /// Whether the one load that is left is worth more than what this look saw to be wrong.
    var keepsTheLastLoad: Bool {
        observation.support.loadsLeft == 1 && !verdict.isWorthTheLastLoad
    }

    /// Whether the keys of an encrypted dump target are worth more than what a patch would cure.
    ///
    /// A patch keeps them, but the kernel no longer hides them after it, nor gives them to another load
    /// (`reuse` in the kernel's crash_dm_crypt_keys). That is too much for an entry that describes
    /// memory which is gone, and little for memory or CPUs that a dump would lose.
    var keepsKeysHidden: Bool {
        guard observation.image?.hidesTargetKeys == true else { return false }
        switch verdict {
        case .waiting(let coverage), .stale(let coverage): return !coverage.losesAnything
        default: return false
        }
    }

    /// Whether it saw no image, or none that is whole.
    var isWithoutImage: Bool {
        switch observation.finding {
        case .known(.nothing), .known(.broken): true
        case .known(.image), .unknown: false
        }
    }

    /// Whether the next look may find an image although this one found none, or none that is whole.
    ///
    /// A kernel that updates the image itself takes it away while it writes the header
    /// (`arch_crash_handle_hotplug_event`). That lasts microseconds, or longer if an emulated
    /// processor is paused.
    func mayPass(sawImage: Bool) -> Bool {
        if sawImage { return isWithoutImage }
        return observation.finding == .known(.nothing) && observation.support.isLoaded == true
    }

    /// Whether the image is whole, untouched by the kernel's own pages, and current, or stale only
    /// because the machine has changed since it was seen `before`.
    func isSound(after before: Engine.Look) -> Bool {
        guard let image = observation.image, image.integrity != .mismatch,
            let hole = observation.reserved.value?.first(where: { $0.holds(image.kimage.entry) }),
            image.sparesItsParts(in: hole, by: observation.architecture.patching)
        else { return false }
        return observation.coverage.value?.isExact == true
            || observation.live != before.observation.live
    }
}

extension Kimage {
    /// Tells one load from most others: where the kernel keeps its structure, the entry, the segments,
    /// and the kernel's own pages.
    var fingerprint: String {
        let places = segments.map { "\(hexadecimal($0.range.start))-\(hexadecimal($0.range.end))" }
        return ([address ?? 0, entry, controlPage].map(hexadecimal) + places)
            .joined(separator: " ")
    }
}
