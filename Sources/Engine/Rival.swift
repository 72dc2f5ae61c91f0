// SPDX-License-Identifier: Apache-2.0

/// What another program has done to the crash kernel while a load of ours was being prepared; pure.
///
/// Preparing takes seconds where both files come from a cold disk. Whoever unloads an image meanwhile
/// wants it unloaded, and whoever loads one wants that one: neither must be undone by a load that was
/// decided on before.
package enum Rival: String, Hashable, CaseIterable {
    /// It has unloaded the image that was looked at.
    case unloaded
    /// It has loaded another image.
    case loaded

    /// Finds out whether what was there `before` is still there `now`; `nil` where it is.
    ///
    /// What a load of ours has lost is no rival's doing, and what cannot be read cannot be compared.
    init?(before: Engine.Look, now: Engine.Look) {
        let wasLoaded = before.observation.support.isLoaded == true
        guard now.observation.support.isLoaded == true else {
            guard wasLoaded, now.verdict == .nothingLoaded else { return nil }
            self = .unloaded
            return
        }
        if wasLoaded {
            guard case .known(let old) = before.observation.finding,
                case .known(let new) = now.observation.finding, !old.isSameLoad(as: new)
            else { return nil }
        }
        self = .loaded
    }
}

extension Audit.Finding {
    /// Whether both were loaded by the same call, as far as that can be seen.
    ///
    /// The kernel may have brought the core header up to date between them, and a look that computes
    /// no digest sees no damage; so neither is compared.
    fileprivate func isSameLoad(as other: Audit.Finding) -> Bool {
        guard let image, let new = other.image else { return self == other }
        return image.kimage == new.kimage && image.commandLine == new.commandLine
    }
}
