// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// How many guests there have been, and what tests have waited for; said at the end of the run, because
/// that is what a run costs.
///
/// The times are those of all tests together, of which several run at a time.
enum Census {
    /// What tests wait for.
    enum Phase: Int, CaseIterable {
        case saving, resuming, dumping

        fileprivate var name: String {
            switch self {
            case .saving: "making saved guests"
            case .resuming: "resuming"
            case .dumping: "capture kernels"
            }
        }
    }

    private static let boots = Atomic(0)
    private static let resumes = Atomic(0)
    private static let repeats = Atomic(0)
    private static let times = Mutex([Duration](repeating: .zero, count: Phase.allCases.count))
    private static let report: Void = {
        _ = atexit {
            // The demo and the bench resume none, and count nothing.
            guard Census.resumes.load(ordering: .relaxed) > 0 else { return }
            let times = Census.times.withLock { $0 }
            let phases = Phase.allCases.map { "\($0.name) \(Int(times[$0.rawValue].inSeconds)) s" }
            let line = """
                [guest] \(Census.boots.load(ordering: .relaxed)) guests booted, \
                \(Census.resumes.load(ordering: .relaxed)) resumed, \
                \(Census.repeats.load(ordering: .relaxed)) boots repeated; of all tests' time: \
                \(phases.joined(separator: ", "))

                """
            FileHandle.standardError.write(Data(line.utf8))
        }
    }()

    static func booted() {
        report
        boots.add(1, ordering: .relaxed)
    }

    static func resumed() {
        report
        resumes.add(1, ordering: .relaxed)
    }

    /// Counts a boot that was made again, and returns how many there have been.
    static func repeated() -> Int { repeats.add(1, ordering: .relaxed).newValue }

    /// Adds the time since `begin` to what tests have spent on a phase.
    static func spent(on phase: Phase, since begin: ContinuousClock.Instant) {
        let time = begin.duration(to: .now)
        times.withLock { $0[phase.rawValue] += time }
    }
}
