// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Observes, judges, refreshes, and observes again, until the loaded image is right or the way is
/// barred.
///
/// The one file that knows all the rooms. It is level-triggered: it never hears what happened, only
/// that something may have, and reads the truth from the machine. It neither logs nor waits for
/// another try: both are its caller's, who gets every outcome as a value.
package struct Engine {
    /// What the engine remembers between looks, and its caller keeps across restarts.
    package struct Memory: Hashable, Codable {
        /// The machine as it was when the engine loaded the image that is there; `nil` where the
        /// image is another's.
        package var described: LiveSystem?
        /// Whether a load of ours failed after the kernel had dropped the old image.
        package var expectsImage = false

        /// Creates the memory of an engine that has done nothing yet.
        package init() {}
    }

    /// One observation with its verdict and, where they were looked for, the obstacles to a reload.
    package struct Look: Equatable {
        /// What was seen.
        package let observation: Observation
        /// What it means.
        package let verdict: Verdict
    }

    /// One successful load.
    package struct Refresh: Hashable, Codable {
        /// How long the machine was unprotected, in microseconds: the duration of the system call.
        package let window: UInt64
    }

    /// How a reconciliation ended.
    package enum End: Equatable {
        /// Nothing is left to do.
        case settled
        /// A refresh is needed and cannot be attempted; the image in place stays.
        case blocked(Obstacle)
        /// The kernel was busy with another load; nothing was dropped.
        case busy
        /// The kernel refused the load; the image in place stays.
        case refused(SystemError)
        /// The load failed after the old image was dropped: nothing is loaded.
        case unprotected(SystemError)
        /// The machine went on changing for as long as we were willing to follow.
        case stillMoving
    }

    /// What a reconciliation found and did.
    package struct Reconciliation: Equatable {
        /// The last look.
        package let look: Look
        /// What made the refreshes necessary: the verdict of the first look.
        package let occasionedBy: Verdict
        /// The refreshes, in order.
        package let refreshes: [Refresh]
        /// How it ended.
        package let end: End
    }

    /// How many loads one reconciliation makes at most while the machine changes under it.
    ///
    /// Four: a DIMM takes less than a load to arrive, so a second one is rare, and beyond four the
    /// events that keep coming bring us back anyway.
    private static let mostRounds = 4

    private let root: SystemRoot
    private let source: ImageSource?
    private let architecture: Architecture
    /// What is remembered; to be kept by the caller after each reconciliation.
    package private(set) var memory: Memory

    /// Creates an engine for the machine below `root` that reloads from `source`.
    package init(
        root: SystemRoot, source: ImageSource?, memory: Memory = Memory(),
        architecture: Architecture = .current
    ) {
        self.root = root
        self.source = source
        self.memory = memory
        self.architecture = architecture
    }

    /// Looks at the machine and judges what is seen; changes nothing.
    ///
    /// - Throws: A `SystemError` where the kernel's own files cannot be read.
    package func look() throws(SystemError) -> Look {
        let support = try KernelSupport(of: root)
        let view = LiveView(of: root, on: architecture)
        let observation = Observation(
            architecture: architecture, live: view.system, reserved: view.reserved,
            support: support,
            // With nothing loaded the answer is known to be no, and asking takes the kexec lock.
            keepsUp: support.isLoaded == true ? try keepsUp() : nil,
            described: memory.described, expectsImage: memory.expectsImage)
        return Look(observation: observation, verdict: .judge(observation))
    }

    /// Returns what would bar a reload now, without attempting one.
    package func obstacle(given look: Look) -> Obstacle? {
        do throws(Obstacle) {
            _ = try reload(given: look)
            return nil
        } catch {
            return error
        }
    }

    /// Brings the loaded image up to date if it needs it.
    ///
    /// - Throws: A `SystemError` where the kernel's own files cannot be read; then nothing was loaded
    ///   since the last successful look.
    package mutating func reconcile(on occasion: Occasion) throws(SystemError) -> Reconciliation {
        var look = try look()
        let first = look.verdict
        var occasion = occasion
        var refreshes: [Refresh] = []
        for _ in 0..<Engine.mostRounds {
            if look.observation.support.isLoaded == false { memory.described = nil }
            guard look.verdict.needsRefresh(on: occasion) else {
                if look.observation.support.isLoaded == true { memory.expectsImage = false }
                return Reconciliation(
                    look: look, occasionedBy: first, refreshes: refreshes, end: .settled)
            }
            let step = try refresh(given: look)
            if let refresh = step.refresh { refreshes.append(refresh) }
            look = step.look
            if let end = step.end {
                return Reconciliation(
                    look: look, occasionedBy: first, refreshes: refreshes, end: end)
            }
            // What only the occasion called for has been done; what is seen now must call by itself.
            occasion = .routine
        }
        let end: End = look.verdict.needsRefresh(on: occasion) ? .stillMoving : .settled
        return Reconciliation(look: look, occasionedBy: first, refreshes: refreshes, end: end)
    }

    /// Tries one load and looks again; `end` is set where no further round makes sense now.
    private mutating func refresh(
        given look: Look
    ) throws(SystemError) -> (look: Look, refresh: Refresh?, end: End?) {
        let attempt: Kexec.Attempt
        do throws(Obstacle) {
            let reload = try reload(given: look)
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
            return (try self.look(), Refresh(window: attempt.microseconds), nil)
        }
        let error = SystemError("kexec_file_load", errno: attempt.errno)
        let stillLoaded = try KernelSupport(of: root).isLoaded == true
        if stillLoaded { return (look, nil, .refused(error)) }
        memory.described = nil
        memory.expectsImage = true
        return (try self.look(), nil, .unprotected(error))
    }

    private func reload(given look: Look) throws(Obstacle) -> Reload {
        try Reload.prepare(
            source, within: look.observation.reserved, support: look.observation.support,
            on: architecture)
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
