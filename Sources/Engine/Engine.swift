// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Observes, judges, refreshes, and observes again, until the loaded image is right or the way is
/// barred.
///
/// The one file that knows all the rooms. It is level-triggered: it never hears what happened, only
/// that something may have, and reads the truth from the machine and from reserved memory. It neither
/// logs nor waits for another try: both are its caller's, who gets every outcome as a value.
package struct Engine {
    /// How many loads one reconciliation makes at most while the machine changes under it.
    ///
    /// Four: a DIMM takes less than a load to arrive, so a second one is rare, and beyond four the
    /// events that keep coming bring us back anyway.
    private static let mostRounds = 4

    /// How long a kernel that keeps the image up by itself may leave it stale, in microseconds.
    ///
    /// It updates the image before it sends the event that made us look (drivers/base/core.c,
    /// `device_online`), so there is nothing to wait for but its copying: one second is plenty.
    package static let grace: UInt64 = 1_000_000

    private let root: SystemRoot
    private let source: ImageSource?
    private let architecture: Architecture
    private let grace: UInt64
    /// Since when the image has been seen to be stale, in microseconds of the caller's clock.
    private var staleSince: UInt64?
    /// A verdict that a refresh did not cure: another one for the same would not either.
    private var uncured: Verdict?
    /// What is remembered; to be kept by the caller after each reconciliation.
    package private(set) var memory: Memory

    /// Creates an engine for the machine below `root` that reloads from `source`.
    package init(
        root: SystemRoot, source: ImageSource?, memory: Memory = Memory(),
        architecture: Architecture = .current, grace: UInt64 = Engine.grace
    ) {
        self.root = root
        self.source = source
        self.memory = memory
        self.architecture = architecture
        self.grace = grace
    }

    /// Looks at the machine and at reserved memory, and judges what is seen; changes nothing there.
    ///
    /// `now` tells the time in microseconds of a monotonic clock.
    /// - Throws: A `SystemError` where the kernel's own files cannot be read.
    package mutating func look(
        _ depth: Audit.Depth, now: () -> UInt64
    ) throws(SystemError) -> Look {
        let begin = now()
        let support = try KernelSupport(of: root)
        let view = LiveView(of: root, on: architecture)
        let report = audit(depth, view, support)
        var seen = Observation(
            architecture: architecture, live: view.system, reserved: view.reserved,
            support: support, finding: report.finding, coverage: report.coverage,
            hotplugMemory: try HotplugMemory(of: root), remembered: memory.described,
            expectsImage: memory.expectsImage, grace: grace)
        // The image itself says whether the kernel keeps it up; asking takes the kexec lock.
        seen.keepsUp = seen.image?.books.kernelKeepsUp
        if case .unknown = seen.finding, support.isLoaded == true { seen.keepsUp = try keepsUp() }
        if case .known(let coverage) = seen.coverage, !coverage.isExact {
            let since = staleSince ?? begin
            staleSince = since
            seen.staleFor = begin - since
        } else {
            staleSince = nil
        }
        return Look(
            observation: seen, verdict: .judge(seen), byteCount: report.byteCount,
            microseconds: now() - begin)
    }

    /// Returns what would bar a reload now, without attempting one.
    package func obstacle(given look: Look) -> Obstacle? {
        do throws(Obstacle) {
            _ = try Reload.prepare(source, insteadOf: look.observation)
            return nil
        } catch {
            return error
        }
    }

    /// Brings the loaded image up to date if it needs it.
    ///
    /// - Throws: A `SystemError` where the kernel's own files cannot be read; then nothing was loaded
    ///   since the last successful look.
    package mutating func reconcile(
        on occasion: Occasion, _ depth: Audit.Depth = .cheap, now: () -> UInt64
    ) throws(SystemError) -> Reconciliation {
        var look = try look(depth, now: now)
        let first = look.verdict
        var occasion = occasion
        var refreshes: [Refresh] = []
        func ended(_ end: End) -> Reconciliation {
            Reconciliation(look: look, occasionedBy: first, refreshes: refreshes, end: end)
        }
        if occasion == .hotplug || look.verdict != uncured { uncured = nil }
        for _ in 0..<Engine.mostRounds {
            if look.observation.support.isLoaded == false { memory.described = nil }
            guard look.verdict.needsRefresh(on: occasion) else {
                if look.observation.support.isLoaded == true { memory.expectsImage = false }
                return ended(.settled)
            }
            guard look.verdict != uncured else { return ended(.uncured) }
            let before = look
            let step = try refresh(given: look, now: now)
            if let refresh = step.refresh { refreshes.append(refresh) }
            look = step.look
            if let end = step.end { return ended(end) }
            // What only the occasion called for has been done; what is seen now must call by itself.
            occasion = .routine
            let isSameMachine = before.observation.live == look.observation.live
            uncured = isSameMachine && look.verdict.needsRefresh(on: .routine) ? look.verdict : nil
        }
        return ended(look.verdict.needsRefresh(on: .routine) ? .stillMoving : .settled)
    }

    /// Tries one load and looks again; `end` is set where no further round makes sense now.
    private mutating func refresh(
        given look: Look, now: () -> UInt64
    ) throws(SystemError) -> (look: Look, refresh: Refresh?, end: End?) {
        let attempt: Kexec.Attempt
        do throws(Obstacle) {
            let reload = try Reload.prepare(source, insteadOf: look.observation)
            try reload.hold()
            attempt = reload.run()
        } catch {
            return (look, nil, .blocked(error))
        }
        if attempt.errno == EBUSY { return (look, nil, .busy) }
        if attempt.errno == 0 {
            // The image describes the machine of some moment since `look`; if it is still the same
            // machine, that one. If not, the next round's verdict is stale and it is loaded again.
            memory.described = look.observation.live.value
            memory.expectsImage = false
            let refresh = Refresh(window: attempt.microseconds)
            return (try self.look(.thorough, now: now), refresh, nil)
        }
        let error = SystemError("kexec_file_load", errno: attempt.errno)
        let stillLoaded = try KernelSupport(of: root).isLoaded == true
        if stillLoaded { return (look, nil, .refused(error)) }
        memory.described = nil
        memory.expectsImage = true
        return (try self.look(.cheap, now: now), nil, .unprotected(error))
    }

    /// Looks into reserved memory, where there is something to look at.
    private mutating func audit(
        _ depth: Audit.Depth, _ view: LiveView, _ support: KernelSupport
    ) -> (finding: Fact<Audit.Finding>, coverage: Fact<Coverage>, byteCount: UInt64) {
        guard support.isLoaded == true else {
            return (.known(.nothing), .unknown(because: "nothing is loaded"), 0)
        }
        switch (view.reserved, view.system) {
        case (.known(let reserved), .known(let live)):
            var audit = Audit(below: root, layout: memory.layout, architecture: architecture)
            let report = audit.run(depth, reserved: reserved, live: live)
            memory.layout = audit.layout
            return (report.finding, report.coverage(of: live), report.byteCount)
        case (.unknown(let reason), _), (_, .unknown(let reason)):
            return (.unknown(because: reason), .unknown(because: reason), 0)
        }
    }

    /// Asks the kernel whether it keeps the image up, and asks a second time before believing a no.
    private func keepsUp() throws(SystemError) -> Bool? {
        let answer = try KernelSupport.keepsUp(below: root)
        guard answer == false else { return answer }
        // The lock is held for microseconds by the kernel's own update: 2 ms outlast it.
        usleep(2_000)
        return try KernelSupport.keepsUp(below: root)
    }
}
