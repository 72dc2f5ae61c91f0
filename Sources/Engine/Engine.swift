// SPDX-License-Identifier: Apache-2.0

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

    let root: SystemRoot
    let source: ImageSource?
    let patches: Bool
    private let architecture: Architecture
    private let grace: UInt64
    /// Since when the image has been seen to be stale, in microseconds of the caller's clock.
    private var staleSince: UInt64?
    /// A verdict that a refresh did not cure: another one for the same would not either.
    private var uncured: Verdict?
    /// What is remembered; to be kept by the caller after each reconciliation.
    package internal(set) var memory: Memory

    /// Creates an engine for the machine below `root` that reloads from `source`, and rather patches
    /// where it may.
    package init(
        root: SystemRoot, source: ImageSource?, patches: Bool = true, memory: Memory = Memory(),
        architecture: Architecture = .current, grace: UInt64 = Engine.grace
    ) {
        self.root = root
        self.source = source
        self.patches = patches
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
            refreshes += step.refreshes
            look = step.look
            if let end = step.end { return ended(end) }
            // What only the occasion called for has been done; what is seen now must call by itself.
            occasion = .routine
            let isSameMachine = before.observation.live == look.observation.live
            // A patch that does not cure is followed by a reload.
            let isReloaded = step.refreshes.last?.method == .reload
            uncured =
                isReloaded && isSameMachine && look.verdict.needsRefresh(on: .routine)
                ? look.verdict : nil
        }
        return ended(look.verdict.needsRefresh(on: .routine) ? .stillMoving : .settled)
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
        Pause.milliseconds(2)
        return try KernelSupport.keepsUp(below: root)
    }
}
