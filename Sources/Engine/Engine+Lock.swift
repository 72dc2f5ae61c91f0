// SPDX-License-Identifier: Apache-2.0

/// How the engine keeps out of the way of the distribution's kdump tool while that loads.
extension Engine {
    /// How long another may hold the lock before the image is brought up to date without it, in
    /// microseconds.
    ///
    /// A tool loads for seconds; one that builds an initrd may take longer, with the old image in
    /// place. Half a minute is more than the first takes, and what hangs must not leave the machine
    /// unprotected: without the lock the kernel's own still admits one load at a time.
    static let longestHold: UInt64 = 30_000_000

    /// Makes one attempt to bring the image up to date, under the lock of the kdump tool.
    mutating func lockedRefresh(
        given look: Look, givingWay givesWay: () -> Bool, now: () -> UInt64
    ) throws(SystemError) -> Step {
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
        // Whoever had the lock until now may have unloaded the image that was looked at, on purpose.
        guard try KernelSupport(of: root).isLoaded == look.observation.support.isLoaded else {
            return Step(look: try self.look(.cheap, now: now))
        }
        let step = try refresh(given: look, givingWay: givesWay, now: now)
        return withExtendedLifetime(attempt) { step }
    }

    private func lockAttempt() -> LoadLock.Attempt {
        guard let family = Configuration.family(below: root, on: architecture) else {
            return .absent
        }
        return LoadLock.attempt(family.lock, below: root)
    }
}
