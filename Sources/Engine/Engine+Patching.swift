// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Patches the image: replaces the parts of it that describe the machine, checks the result, and falls
/// back to a reload.
///
/// What a patch consists of is for ``PatchPlan`` to say; the loads themselves are ``Patch``'s.
extension Engine {
    /// How the image would be patched, or what prevents that.
    func patchPlan(given look: Look) -> Result<PatchPlan, PatchObstacle> {
        Result { () throws(PatchObstacle) in
            guard patches else { throw .switchedOff }
            var seen = look.observation
            if let kimage = seen.image?.kimage, savedState.unpatchable == kimage.fingerprint {
                throw .failedBefore
            }
            if look.keepsTheLastLoad { throw .lastLoad }
            if look.keepsKeysHidden { throw .encryptedTarget }
            if let firmware = architecture.patching?.firmware?(root) { seen.firmware = firmware }
            let plan = try PatchPlan(for: seen)
            // Last, because an obstacle that can be seen says more.
            if let errno = savedState.refusal { throw .refused(errno: errno) }
            return plan
        }
    }

    /// Patches the image, checks the result, and falls back to a reload.
    mutating func patch(
        by plan: PatchPlan, given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        var (plan, look) = (plan, look)
        if plan.isDigestUnfound {
            // The digest is found by its value. And a damaged image must not get a new digest.
            look = try see(.thorough, now: now)
            guard case .stale = look.verdict else { return Step(look: look) }
        }
        let patch: Patch?
        do throws(PatchObstacle) {
            if plan.isDigestUnfound { plan = try patchPlan(given: look).get() }
            guard let layout = savedState.layout, let reserved = look.observation.reserved.value
            else { throw .imageNotUnderstood(because: "it cannot be read") }
            patch = try Patch.prepare(
                plan, below: root, laidOut: layout, within: AddressRanges(reserved))
        } catch .machineNotKnown(let reason) {
            return Step(look: look, end: .changing(because: reason))
        } catch {
            return try reload(given: look, insteadOf: error, now: now)
        }
        // What another program has loaded meanwhile may be right.
        guard let patch else { return Step(look: try see(.cheap, now: now)) }
        return try apply(patch, given: look, now: now)
    }

    /// Loads a patch, and if that loses the image, the old one from reserved memory.
    private mutating func apply(
        _ patch: Patch, given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let begin = now()
        let attempt = loading(.patch) { patch.run() }
        switch attempt.errno {
        case EBUSY:
            return Step(look: look, end: .busy)
        case 0:
            savedState.described = look.observation.live.value
            count(.patch, attempt.microseconds, now())
            let refresh = Refresh(method: .patch, window: attempt.microseconds)
            return try verified(refresh, of: look, now: now)
        default:
            guard try KernelSupport.isLoaded(below: root) != true else {
                let obstacle = refused(attempt, given: look)
                return try reload(given: look, insteadOf: obstacle, now: now)
            }
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            savedState.forgetImage()
            savedState.expectsImage = true
            // An image that cannot be read cannot be replayed, so only a reload is left.
            let replayed = try? loading(.reload) { () throws(PatchObstacle) in try patch.replay() }
            guard replayed?.errno == 0 else {
                return try reload(given: lostLook(now), insteadOf: .failedBefore, now: now)
            }
            savedState.expectsImage = false
            savedState.described = look.observation.live.value
            return try verified(
                Refresh(method: .replay, window: now() - begin), of: look, now: now)
        }
    }

    /// Notes a patch that failed and dropped nothing, and returns the obstacle that it is from now
    /// on.
    private mutating func refused(_ attempt: Kexec.Attempt, given look: Look) -> PatchObstacle {
        guard let obstacle = PatchObstacle(lastingRefusal: attempt.errno) else {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            return .failedBefore
        }
        savedState.refusal = attempt.errno
        return obstacle
    }

    /// Looks at the image after a patch, and reloads at once if it is not sound.
    ///
    /// Only the digest takes long. It is owed from now on, and the look after it judges it.
    private mutating func verified(
        _ refresh: Refresh, of before: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        savedState.owesDigest = true
        let look = try see(.cheap, now: now)
        // If somebody unloads it at this moment, that is what they want.
        if look.observation.support.isLoaded == false {
            return Step(look: look, refreshes: [refresh])
        }
        // An image that cannot be read is not verified.
        let isSound = look.isSound(after: before)
        if refresh.method == .replay || !isSound {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
        }
        guard !isSound else { return Step(look: look, refreshes: [refresh]) }
        var step = try reload(given: look, insteadOf: .failedBefore, now: now)
        step.refreshes.insert(refresh, at: 0)
        return step
    }
}
