// SPDX-License-Identifier: Apache-2.0

/// What a look calls for: a refresh now, one later, or none.
///
/// Whether the image is right is for ``Verdict`` to say, and when a load is worth its price for
/// ``Loads``. Nothing is loaded here.
extension Engine {
    /// How long a machine that a patch cannot describe is taken to be changing, in microseconds.
    ///
    /// A CPU that comes is in the kernel's lists before all of its files are there, and before the
    /// device tree names it. That takes a moment, and a second or two under emulation. A reload would
    /// cost a thousand times what the patch costs that is possible a moment later.
    static let longestChange: UInt64 = 5_000_000

    /// A refresh that is needed.
    struct Need {
        /// Why.
        let look: Look
        /// How the image would be patched, or why it cannot be; `nil` if no patch would help.
        let plan: Result<PatchPlan, PatchObstacle>?
    }

    /// Returns what a look calls for; `nil` if nothing.
    ///
    /// At an event of a hotplug that has only begun, that is a patch for the machine of a moment later,
    /// as if it were there.
    func need(seenBy look: Look, on trigger: Trigger) -> Need? {
        if look.verdict.needsRefresh(on: trigger) {
            guard case .stale = look.verdict, look.observation.image != nil else {
                return Need(look: look, plan: nil)
            }
            return Need(look: look, plan: patchPlan(given: look))
        }
        guard trigger == .event, look.verdict == .current, let ahead = look.observation.ahead
        else { return nil }
        var seen = look.observation
        seen.live = .known(ahead.system)
        seen.coverage = .known(ahead.coverage)
        let later = Look(
            observation: seen, verdict: .stale(ahead.coverage), byteCount: look.byteCount,
            microseconds: look.microseconds, isAhead: true)
        let plan = patchPlan(given: later)
        return plan.obstacle == nil ? Need(look: later, plan: plan) : nil
    }

    /// Why no patch can describe the machine at the moment; `nil` if one can, or if that has lasted too
    /// long to be a change.
    mutating func change(of need: Need?, _ now: UInt64) -> String? {
        let since = undescribedSince ?? now
        let isRecent = now - since < Engine.longestChange
        guard case .failure(.machineNotKnown(let reason))? = need?.plan else {
            // What has lasted is remembered until a patch can describe the machine.
            if isRecent || need?.plan != nil { undescribedSince = nil }
            return nil
        }
        undescribedSince = since
        return isRecent ? reason : nil
    }

    /// Whether a patch can make an image right.
    func isPatchable(_ look: Look) -> Bool {
        guard case .success? = need(seenBy: look, on: .routine)?.plan else { return false }
        return true
    }

    /// When a load is worth its price; `nil` if it is now, or if there is nothing to lose.
    func postponed(_ need: Need, on trigger: Trigger, _ now: UInt64) -> UInt64? {
        switch need.look.verdict {
        case .lost, .broken: return nil
        default: break
        }
        guard trigger != .request else { return nil }
        let isPatch = if case .success = need.plan { true } else { false }
        let time = loads.due(
            isPatch ? .patch : .reload, isOver: trigger != .event,
            isLast: need.look.observation.support.loadsLeft == 1, at: now)
        return time > now ? time : nil
    }
}
