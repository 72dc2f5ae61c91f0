// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// One attempt to bring the image up to date: under the lock of the kdump tool, by a patch where one is
/// possible, else by a reload.
///
/// What the two do is in `Engine+Patching.swift` and `Engine+Reloading.swift`; when an attempt is made is
/// for ``Engine/reconcile(on:since:verifies:now:)`` to say.
extension Engine {
    /// The result of one attempt, or of several.
    struct Step {
        /// The look after it.
        var look: Look
        /// The loads that succeeded.
        var refreshes: [Refresh] = []
        /// What prevented a patch, which would have been better.
        var unpatched: PatchObstacle?
        /// How the files of the last reload differ from those of the image before.
        var replacement: Replacement?
        /// What another program did before anything was loaded, so that nothing was.
        var rival: Rival?
        /// Set if no further attempt makes sense now.
        var end: End?

        /// Adds the result of the next attempt.
        mutating func append(_ next: Step) {
            look = next.look
            refreshes += next.refreshes
            unpatched = next.unpatched ?? unpatched
            replacement = next.replacement ?? replacement
            rival = next.rival ?? rival
            end = next.end
        }
    }

    /// Makes one attempt to bring the image up to date, under the lock of the kdump tool.
    mutating func lockedRefresh(
        _ need: Need, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let look = need.look
        let attempt = lockAttempt()
        if case .held(let holder) = attempt {
            let since = heldSince ?? now()
            heldSince = since
            guard now() - since >= Engine.longestHold else {
                return Step(look: look, end: .held(holder))
            }
        } else {
            heldSince = nil
        }
        // The previous holder of the lock may have unloaded the image on purpose.
        guard try KernelSupport.isLoaded(below: root) == look.observation.support.isLoaded else {
            let latest = try see(.cheap, now: now)
            return Step(look: latest, rival: Rival(before: look, now: latest))
        }
        let step = try refresh(need, now: now)
        return withExtendedLifetime(attempt) { step }
    }

    /// Takes the lock of the kdump tool, as long as what is returned lives.
    func lockAttempt() -> LoadLock.Attempt {
        lock.map { LoadLock.attempt($0, below: root) } ?? .absent
    }

    /// Makes one attempt to bring the image up to date, and looks again.
    private mutating func refresh(
        _ need: Need, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let look = need.look
        switch need.plan {
        case nil:
            return try reload(given: look, now: now)
        case .failure(let obstacle)?:
            return try reload(given: look, insteadOf: obstacle, now: now)
        case .success? where !root.prefix.isEmpty:
            return try reload(given: look, now: now)
        case .success(let plan)?:
            // A reload that adds the parameter makes the image current, too.
            if look.observation.lacks.contains(where: { $0.urgency == .now }),
                case .success(let reload) = preparedReload(of: configuration(), given: look)
            {
                return try run(reload, given: look, now: now)
            }
            return try patch(by: plan, given: look, now: now)
        }
    }

    /// Counts a load that has just ended, and what it cost, in microseconds.
    mutating func count(_ kind: Loads.Kind, _ window: UInt64, _ now: UInt64) {
        loads.made(kind, window: window, at: now)
        savedState.windows = loads.windows
    }

    /// Makes a load that may lose the image, and saves beforehand that one is expected.
    mutating func loading<Failure: Error>(
        _ kind: Loads.Kind, _ load: () throws(Failure) -> Kexec.Attempt
    ) throws(Failure) -> Kexec.Attempt {
        observer.digests.drop()
        var ahead = savedState
        ahead.expectsImage = true
        beforeLoad(kind, ahead)
        defer { afterLoad() }
        // The same as a kexec lock that is held: nothing is dropped, and the caller tries again.
        guard !mayBeCrashing() else { return Kexec.Attempt(errno: EBUSY, microseconds: 0) }
        return try load()
    }

    /// Looks at a machine whose image a load of ours has just lost: there is nothing to wait for.
    mutating func lostLook(_ now: () -> UInt64) throws(SystemError) -> Look {
        observer.noteLoss()
        return try see(.cheap, now: now)
    }
}
