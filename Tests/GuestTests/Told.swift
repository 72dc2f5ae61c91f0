// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

/// Has a run say which test begins and how long each took, as it happens.
///
/// Swift Testing counts from the moment at which all of them were started, which is the same for all,
/// and says nothing of the cases of a test. `.ci/tests` makes the list of the slowest of this.
struct Told: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        let name = test.displayName ?? test.name
        let threads: any TaskExecutor =
            test.tags.contains(.long) ? GuestThreads.Early.shared : GuestThreads.shared
        try await withTaskExecutorPreference(threads) {
            say("[test]          \(name)")
            let begin = ContinuousClock.now
            defer {
                let seconds = String(format: "%6.1f", begin.duration(to: .now).inSeconds)
                say("[test] \(seconds) s \(name)")
            }
            try await function()
        }
    }

    /// At once, also where the output is no terminal.
    private func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}

extension Tag {
    /// Of a test that takes minutes, so that it must begin early.
    @Tag static var long: Tag
}

extension Trait where Self == Told {
    static var told: Self { Self() }
}
