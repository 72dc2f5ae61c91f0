// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How the engine brings an image up to date: by a patch where it can, else by a reload.
extension Engine {
    /// What one attempt came to.
    struct Step {
        /// The look after it.
        var look: Look
        /// The loads that succeeded.
        var refreshes: [Refresh] = []
        /// What barred the patch that would have been the better way.
        var unpatched: PatchObstacle?
        /// Set where no further attempt makes sense now.
        var end: End?
    }

    /// Returns what would bar a patch and a reload now, without attempting either.
    package func ways(given look: Look) -> Ways {
        let found = configuration()
        var reload: Obstacle?
        do throws(Obstacle) {
            _ = try preparedReload(of: found, given: look)
        } catch {
            reload = error
        }
        var patch: PatchObstacle?
        do throws(PatchObstacle) {
            _ = try patchPlan(given: look)
        } catch {
            patch = error
        }
        return Ways(patch: patch, reload: reload, configuration: try? found.get())
    }

    /// What a reload is to load, as it is configured at this moment.
    private func configuration() -> Result<Configuration, Obstacle> {
        Result { () throws(Obstacle) in
            try Configuration.find(named: source, below: root, on: architecture)
        }
    }

    private func preparedReload(
        of found: Result<Configuration, Obstacle>, given look: Look
    ) throws(Obstacle) -> Reload {
        try Reload.prepare(found, remembered: savedState.commandLine, insteadOf: look.observation)
    }

    /// Makes one attempt to bring the image up to date, and looks again.
    mutating func refresh(
        given look: Look, givingWay givesWay: () -> Bool, now: () -> UInt64
    ) throws(SystemError) -> Step {
        var look = look
        if case .unknown = look.observation.finding, savedState.layout != nil {
            look = try self.look(.cheap, insisting: true, now: now)
        }
        guard case .stale = look.verdict, look.observation.image != nil else {
            guard look.verdict.needsRefresh(on: .hotplug) else { return Step(look: look) }
            return try reload(given: look, now: now)
        }
        let ways = ways(given: look)
        let isLoadedAnyway = look.observation.lacks.contains { $0.urgency == .now }
        if ways.patch != nil || (isLoadedAnyway && ways.reload == nil) || !root.prefix.isEmpty {
            return try reload(given: look, insteadOf: ways.patch, now: now)
        }
        if let image = look.observation.image, image.digestCoversHeader, image.digest?.found == nil
        {
            // The digest is found by its value; and damage must not get a new digest.
            look = try self.look(.thorough, now: now)
            guard case .stale = look.verdict else { return Step(look: look) }
        }
        let patch: Patch
        do throws(PatchObstacle) {
            patch = try preparedPatch(given: look)
        } catch {
            return try reload(given: look, insteadOf: error, now: now)
        }
        return try apply(patch, given: look, givingWay: givesWay, now: now)
    }

    private func patchPlan(given look: Look) throws(PatchObstacle) -> PatchPlan {
        guard patches else { throw .switchedOff }
        let seen = look.observation
        if let kimage = seen.image?.kimage, savedState.unpatchable == kimage.fingerprint {
            throw .failedBefore
        }
        let notes = seen.live.value.map { ProcessorNotes.read(of: $0.cpus, below: root) }
        return try PatchPlan(for: seen, notes: notes ?? .unknown(because: "it cannot be read"))
    }

    private func preparedPatch(given look: Look) throws(PatchObstacle) -> Patch {
        guard let layout = savedState.layout, let reserved = look.observation.reserved.value else {
            throw .imageNotUnderstood(because: "it cannot be read")
        }
        return try Patch.prepare(
            patchPlan(given: look), below: root, laidOut: layout, within: AddressRanges(reserved))
    }

    /// Loads a patch, makes sure of what it did, and falls back where it did not do it.
    private mutating func apply(
        _ patch: Patch, given look: Look, givingWay givesWay: () -> Bool, now: () -> UInt64
    ) throws(SystemError) -> Step {
        announceLoad()
        let begin = now()
        let attempt = patch.run()
        switch attempt.errno {
        case EBUSY:
            return Step(look: look, end: .busy)
        case 0:
            savedState.described = look.observation.live.value
            let refresh = Refresh(method: .patch, window: attempt.microseconds)
            return try verified(refresh, of: look, givingWay: givesWay, now: now)
        default:
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
            guard try KernelSupport(of: root).isLoaded != true else {
                return try reload(given: look, insteadOf: .failedBefore, now: now)
            }
            savedState.forgetImage()
            savedState.expectsImage = true
            // What cannot be read cannot be replayed, and a reload is what is left.
            guard let replayed = try? patch.replay(), replayed.errno == 0 else {
                var step = try reload(given: look, insteadOf: .failedBefore, now: now)
                if case .blocked = step.end { step.look = try self.look(.cheap, now: now) }
                return step
            }
            savedState.expectsImage = false
            savedState.described = look.observation.live.value
            let refresh = Refresh(method: .replay, window: now() - begin)
            return try verified(refresh, of: look, givingWay: { false }, now: now)
        }
    }

    /// Looks at everything after a patch; where it is not as it must be, loads it again at once.
    ///
    /// The digest is what takes long. It gives way to newer events, after which there will be another
    /// patch and another look; all else is always looked at.
    private mutating func verified(
        _ refresh: Refresh, of before: Look, givingWay givesWay: () -> Bool, now: () -> UInt64
    ) throws(SystemError) -> Step {
        var gaveWay = false
        savedState.owesDigest = true
        // What cannot be seen is not verified.
        let look = try look(
            .thorough, insisting: true,
            givingWay: {
                gaveWay = gaveWay || givesWay()
                return gaveWay
            }, now: now)
        // Who unloads it in this moment wants it unloaded.
        if look.observation.support.isLoaded == false {
            return Step(look: look, refreshes: [refresh])
        }
        let isSound = look.isSound(after: before, withoutDigest: gaveWay)
        if refresh.method == .replay || !isSound {
            savedState.unpatchable = look.observation.image?.kimage.fingerprint
        }
        guard !isSound else { return Step(look: look, refreshes: [refresh]) }
        var step = try reload(given: look, insteadOf: .failedBefore, now: now)
        step.refreshes.insert(refresh, at: 0)
        return step
    }

    /// Leaves word that an image is to be there.
    private func announceLoad() {
        var ahead = savedState
        ahead.expectsImage = true
        beforeLoad(ahead)
    }

    /// Loads all of the image from files, and looks again.
    private mutating func reload(
        given look: Look, insteadOf patch: PatchObstacle? = nil, now: () -> UInt64
    ) throws(SystemError) -> Step {
        let attempt: Kexec.Attempt
        do throws(Obstacle) {
            let reload = try preparedReload(of: configuration(), given: look)
            // The files below another root are of another machine, the system call is of this one.
            guard root.prefix.isEmpty else { throw .anotherMachine }
            try reload.hold()
            announceLoad()
            attempt = reload.run()
        } catch {
            return Step(look: look, unpatched: patch, end: .blocked(error))
        }
        if attempt.errno == EBUSY { return Step(look: look, end: .busy) }
        if attempt.errno == 0 {
            // The image describes the machine of some moment since `look`; if it is still the same
            // machine, that one. If not, the next round's verdict is stale and it is loaded again.
            savedState.described = look.observation.live.value
            savedState.expectsImage = false
            savedState.unpatchable = nil
            let refresh = Refresh(method: .reload, window: attempt.microseconds)
            return Step(
                look: try self.look(.thorough, now: now), refreshes: [refresh], unpatched: patch)
        }
        let error = SystemError("kexec_file_load", errno: attempt.errno)
        let stillLoaded = try KernelSupport(of: root).isLoaded == true
        if stillLoaded { return Step(look: look, end: .refused(error)) }
        savedState.forgetImage()
        savedState.expectsImage = true
        return Step(look: try self.look(.cheap, now: now), end: .unprotected(error))
    }
}

extension Engine.Look {
    /// Whether the image is whole, spared by the kernel's own pages, and right, or stale only because
    /// the machine has changed since it was seen `before`.
    fileprivate func isSound(after before: Engine.Look, withoutDigest isUnmade: Bool) -> Bool {
        guard let image = observation.image, image.integrity == .verified || isUnmade,
            image.integrity != .mismatch,
            let hole = observation.reserved.value?.first(where: { $0.holds(image.kimage.entry) }),
            image.sparesItsParts(in: hole)
        else { return false }
        return observation.coverage.value?.isExact == true
            || observation.live != before.observation.live
    }
}

extension Kimage {
    /// What tells one load from most others: the entry, the list, and the kernel's own pages.
    fileprivate var fingerprint: String {
        let places = segments.map { "\(hexadecimal($0.range.start))-\(hexadecimal($0.range.end))" }
        return ([entry, controlPage].map(hexadecimal) + places).joined(separator: " ")
    }
}
