// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Reloads the image from files, tries in advance whether the kernel takes them, and loads the old image
/// again from reserved memory if a load has lost it.
///
/// Which files these are, and how they are loaded, is for ``Reload`` to know.
extension Engine {
    /// Returns what would prevent a patch and a reload now, without attempting either.
    package func ways(given look: Look) -> Ways {
        let configuration = configuration()
        let (patch, reload) = (
            patchPlan(given: look), preparedReload(of: configuration, given: look)
        )
        return Ways(
            patch: patch.obstacle, reload: reload.obstacle, configuration: try? configuration.get(),
            didNotHelp: look.verdict == savedState.uncured,
            replacement: (try? reload.get())?.replacement)
    }

    /// Forgets which files the kernel has refused: somebody may have signed them, or changed a policy.
    package mutating func forgetRefusals() { savedState.trials.forgetRefusals() }

    /// The systemd unit of the distribution's kdump service; `nil` if none is installed.
    package var kdumpService: String? {
        Configuration.family(below: root, on: architecture)?.service
    }

    /// What a reload would load, as configured at this moment.
    func configuration() -> Result<Configuration, Obstacle> {
        Result { () throws(Obstacle) in
            try Configuration.find(named: source, below: root, on: architecture)
        }
    }

    /// How the image would be reloaded, or what prevents that.
    func preparedReload(
        of found: Result<Configuration, Obstacle>, given look: Look
    ) -> Result<Reload, Obstacle> {
        Result { () throws(Obstacle) in
            if look.keepsTheLastLoad { throw .lastLoad }
            return try Reload.prepare(
                found,
                remembering: Reload.Memory(
                    commandLine: savedState.commandLine, trials: savedState.trials,
                    release: { build in release(of: build, seenBy: look) },
                    loader: loader),
                insteadOf: look.observation)
        }
    }

    /// What would make the image of a reload, as far as it has turned out.
    private var loader: Reload.Loader {
        guard savedState.loadsNoFiles else { return .kernel }
        guard architecture.wholeImage == nil else { return .own }
        return hasProgram ? .program : .missing
    }

    /// Whether kexec(8) is installed.
    private var hasProgram: Bool {
        ["/usr/sbin/kexec", "/sbin/kexec"].contains(where: root.isFile)
    }

    /// The release of the kernel that is loaded, as it stands in reserved memory.
    private func release(of build: KernelBuild, seenBy look: Look) -> String? {
        let parts = look.observation.image?.parts ?? []
        guard let kernel = parts.first(where: { $0.role == .kernel })?.range,
            build.unpacker < kernel.byteCount
        else { return nil }
        let count = min(KernelBuild.reach, kernel.byteCount - build.unpacker)
        let code = try? Kcore.observe(below: root) { kcore throws(Unknowable) in
            try kcore.bytes(Int(count), at: kernel.start + build.unpacker)
        }
        return code.flatMap(KernelBuild.release)
    }

    /// Loads all of the image from files, and looks again.
    mutating func reload(
        given look: Look, insteadOf patch: PatchObstacle? = nil, now: () -> UInt64
    ) throws(SystemError) -> Step {
        // What a patch was to prepare for is not worth more than a patch.
        guard !look.isAhead else { return Step(look: try see(.cheap, now: now)) }
        switch preparedReload(of: configuration(), given: look) {
        case .success(let reload):
            return try run(reload, given: look, insteadOf: patch, now: now)
        case .failure(let obstacle):
            return try restored(because: "\(obstacle)", now: now)
                ?? Step(look: look, unpatched: patch, end: .blocked(obstacle))
        }
    }

    /// Reads the files of a reload, tries them if the kernel may refuse them, and loads.
    mutating func run(
        _ reload: Reload, given look: Look, insteadOf patch: PatchObstacle? = nil,
        now: () -> UInt64
    ) throws(SystemError) -> Step {
        do throws(Obstacle) {
            // Files below another root belong to another machine; the system call would act on this
            // one.
            guard root.prefix.isEmpty else { throw .anotherMachine }
            try reload.hold(onProgress: beat)
        } catch {
            return try restored(because: "\(error)", now: now)
                ?? Step(look: look, unpatched: patch, end: .blocked(error))
        }
        if reload.needsTrial, let end = tryOut(reload) {
            return Step(look: look, unpatched: patch, end: end)
        }
        // The trial may have shown that the kernel loads no files.
        guard reload.loader == loader else {
            return try self.reload(given: look, insteadOf: patch, now: now)
        }
        // Both files may have come from a cold disk, which takes long enough for others to act.
        let latest = try see(.cheap, now: now)
        let rival = Rival(before: look, now: latest)
        guard rival == nil, !look.isCured(by: latest) else {
            return Step(look: latest, unpatched: patch, rival: rival)
        }
        var step = try load(reload, given: latest, now: now)
        step.unpatched = patch
        return step
    }

    /// Loads the files of a reload, which are held, for the machine that was just seen.
    private mutating func load(
        _ reload: Reload, given latest: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        if latest.observation.support.isLoaded == true { savedState.books = books(of: latest) }
        var reload = reload
        var whole: WholeLoad?
        do throws(Obstacle) {
            whole = try reload.make(for: latest.observation, below: root)
        } catch {
            guard hasProgram else {
                return try restored(because: "\(error)", now: now)
                    ?? Step(look: latest, end: .blocked(error))
            }
            reload.loader = .program
        }
        let program = loadByProgram
        let attempt = loading(.reload) { reload.run(whole, by: program) }
        if attempt.errno == ENOSYS, reload.loader == .kernel {
            savedState.loadsNoFiles = true
            return try self.reload(given: latest, now: now)
        }
        return try conclude(attempt, of: reload, given: latest, now: now)
    }

    /// Tries the files of a reload in advance, if the next hotplug will need one; for a moment in which
    /// nothing else is to be done.
    ///
    /// Then it is known whether the kernel takes them, and the reload is not held up.
    package mutating func tryAhead(given look: Look) {
        guard look.verdict == .current, look.observation.keepsUp != true, root.prefix.isEmpty,
            patchPlan(given: look).obstacle != nil,
            case .success(let reload) = preparedReload(of: configuration(), given: look),
            reload.needsTrial
        else { return }
        let attempt = lockAttempt()
        if case .held = attempt { return }
        // What is not tried now, or without an answer, is tried at another time.
        guard (try? reload.hold(onProgress: beat)) != nil else { return }
        _ = withExtendedLifetime(attempt) { tryOut(reload) }
    }

    /// Tries whether the kernel takes the files of a reload; returns how the attempt ends where not.
    private mutating func tryOut(_ reload: Reload) -> End? {
        // It may take as long as a load.
        beforeLoad(.reload, savedState)
        defer { afterLoad() }
        let refusal = reload.rehearse()
        // That says nothing of the files.
        if refusal == ENOSYS { savedState.loadsNoFiles = true }
        guard !savedState.loadsNoFiles else { return nil }
        savedState.trials.note(reload.subject, refusal)
        switch refusal {
        case 0: return nil
        // Whoever has the lock may be about to load what is wanted here.
        case EBUSY: return .busy
        default: return .blocked(reload.obstacle(after: refusal))
        }
    }

    /// Notes how a reload ended, and looks again.
    private mutating func conclude(
        _ attempt: Kexec.Attempt, of reload: Reload, given look: Look, now: () -> UInt64
    ) throws(SystemError) -> Step {
        if attempt.errno == EBUSY { return Step(look: look, end: .busy) }
        if attempt.errno == 0 {
            savedState.trials.note(reload.subject, 0)
            // The new image describes the machine at some moment after `look`. If the machine has
            // changed since, the next verdict is stale and the image is loaded again. What kexec(8) has
            // made is to be seen: it may have left memory out, or have made no header that can be read.
            savedState.described = reload.loader == .program ? nil : look.observation.live.value
            savedState.expectsImage = false
            savedState.unpatchable = nil
            count(.reload, attempt.microseconds, now())
            let refresh = Refresh(method: .reload, window: attempt.microseconds)
            return Step(
                look: try see(.thorough, now: now), refreshes: [refresh],
                replacement: reload.replacement)
        }
        let call = reload.loader == .own ? "kexec_load" : "kexec_file_load"
        let error = attempt.cause ?? SystemError(call, errno: attempt.errno)
        let stillLoaded = try KernelSupport.isLoaded(below: root) == true
        if stillLoaded { return Step(look: look, end: .refused(error)) }
        savedState.trials.note(reload.subject, attempt.errno)
        savedState.forgetImage()
        savedState.expectsImage = true
        // Not `??`: it would widen the type of the error.
        if let step = try restored(because: "\(error)", now: now) { return step }
        return Step(look: try lostLook(now), end: .unprotected(error))
    }

    /// Notes what it takes to load the image again that was seen; `nil` where that cannot be done.
    private func books(of look: Look) -> Replay.Books? {
        guard let image = look.observation.image, let layout = savedState.layout else { return nil }
        let flags = Patch.flags(for: image.kimage, laidOut: layout)
        return try? Kcore.observe(below: root) { kcore throws(Unknowable) in
            try Replay.Books(of: image, flags: flags, in: kcore)
        }
    }

    /// Loads the image again that a load of ours has lost, from what is left in reserved memory; `nil`
    /// where none is lost, or nothing can be loaded.
    ///
    /// It is as wrong as it was before, and far better than none.
    private mutating func restored(
        because reason: String, now: () -> UInt64
    ) throws(SystemError) -> Step? {
        guard let books = savedState.books, savedState.expectsImage,
            try KernelSupport.isLoaded(below: root) == false, root.prefix.isEmpty
        else { return nil }
        let (root, architecture) = (root, architecture)
        let begin = now()
        let attempt = try? loading(.reload) { () throws(Unknowable) in
            try Replay.run(books, below: root, on: architecture)
        }
        guard attempt?.errno == 0 else { return nil }
        savedState.expectsImage = false
        let refresh = Refresh(method: .replay, window: now() - begin)
        return Step(
            look: try see(.thorough, now: now), refreshes: [refresh], end: .restored(reason))
    }
}
