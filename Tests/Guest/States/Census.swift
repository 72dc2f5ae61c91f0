// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// How many guests there have been; said at the end of the run, because that is what a run costs.
enum Census {
    private static let boots = Atomic(0)
    private static let resumes = Atomic(0)
    private static let repeats = Atomic(0)
    private static let report: Void = {
        _ = atexit {
            // The demo and the bench resume none, and count nothing.
            guard Census.resumes.load(ordering: .relaxed) > 0 else { return }
            let line = """
                [guest] \(Census.boots.load(ordering: .relaxed)) guests booted, \
                \(Census.resumes.load(ordering: .relaxed)) resumed, \
                \(Census.repeats.load(ordering: .relaxed)) boots repeated

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
}
