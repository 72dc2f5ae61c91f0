// SPDX-License-Identifier: Apache-2.0

internal import Engine

/// When the daemon looks again although no event has come; pure.
enum FollowUp: Equatable {
    /// Not before the next event or scrub.
    case none
    /// Once more, after so many microseconds.
    case look(after: UInt64)
    /// As soon as after a hotplug event.
    case event
    /// At this time, for the same reason as before: then a load is worth its price.
    case load(at: UInt64)
    /// At intervals of this back-off, to try what the last attempt could not do.
    case retry(Backoff)
    /// At intervals of the back-off for a machine without protection; and once, before the first of
    /// them, the distribution's own tool is to load.
    case rescue
    /// At intervals of this back-off, which starts over at every hotplug event.
    case poll(Backoff)

    /// How long after a burst the daemon looks once more, in microseconds.
    ///
    /// What the last event announced may not have begun when it was looked for. Two seconds are long
    /// for the kernel and short for an operator; a look reads a few small files and some hundred KiB.
    private static let secondLook: UInt64 = 2_000_000

    /// How long the distribution's own tool is left alone with its load, in microseconds.
    ///
    /// It takes one to three seconds, and more where it is emulated. A load of ours meanwhile could
    /// fall between its unload and its load.
    static let rescueTime: UInt64 = 10_000_000

    /// Decides what follows a reconciliation.
    init(after outcome: Engine.Reconciliation, on trigger: Trigger) {
        switch outcome.end {
        case .settled where outcome.leavesNoRefresh:
            self =
                switch outcome.look.verdict {
                case .waiting: .look(after: Engine.grace)
                case .nothingLoaded: .poll(.absent)
                default: FollowUp.untilSettled(outcome, on: trigger)
                }
        case .settled: self = .look(after: FollowUp.secondLook)
        case .stillMoving: self = .event
        case .postponed(let time), .resting(let time): self = .load(at: time)
        case .blocked where outcome.look.verdict == .lost: self = .rescue
        case .blocked, .refused, .restored: self = .retry(.stale)
        case .uncured: self = FollowUp.untilSettled(outcome, on: .routine)
        case .busy, .held, .changing: self = .retry(.busy)
        case .unprotected: self = .rescue
        }
    }

    /// Decides what follows where nothing is left to do for the machine that was seen.
    ///
    /// RAM that is removed leaves `/proc/iomem` only after its last event (mm/memory_hotplug.c,
    /// `try_remove_memory`), and the kernel sends no event then.
    private static func untilSettled(
        _ outcome: Engine.Reconciliation, on trigger: Trigger
    ) -> FollowUp {
        // While events keep coming, a look follows anyway.
        if trigger == .event { return .none }
        if outcome.look.observation.isUnsettled { return .poll(.unsettled) }
        return trigger == .hotplug ? .look(after: secondLook) : .none
    }
}

extension KernelSupport {
    /// Whether the next load is the last until the next boot, and there is an image to lose by it.
    var hasLastLoad: Bool { isLoaded == true && loadsLeft == 1 }
}

extension Engine.Reconciliation {
    /// Whether telling it can wait until the burst is over: nothing has gone wrong, and at most parts of
    /// the image have been replaced.
    var isOrdinary: Bool {
        switch (end, look.verdict) {
        case (.settled, .current), (.settled, .waiting), (.stillMoving, _), (.changing, _),
            (.postponed, _), (.resting, _):
            refreshes.allSatisfy { $0.method == .patch }
        default: false
        }
    }

    /// Whether it found what has been said, of the machine that it was said of, and did nothing.
    func isNothing(after told: Engine.Look?) -> Bool {
        end == .settled && refreshes.isEmpty && rival == nil && look.verdict == told?.verdict
            && look.observation.live == told?.observation.live
    }

    /// Whether nothing was refreshed, or what was refreshed has been unloaded since.
    var leavesNoRefresh: Bool { refreshes.isEmpty || look.verdict == .nothingLoaded }
}
