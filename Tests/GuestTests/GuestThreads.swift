// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// The threads on which tests wait for their guests, and so the number of guests at a time.
///
/// A test blocks its thread, and Swift's own pool has one for each processor; but a guest sleeps part of
/// its life, and with one more of them the processors hardly do.
final class GuestThreads: TaskExecutor {
    static let shared = GuestThreads(
        count: ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_GUESTS"].flatMap { Int($0) }
            ?? ProcessInfo.processInfo.activeProcessorCount + 1)

    /// The same threads, for tests that take minutes: they go before all that waits, so that no run ends
    /// with a guest that is alone on the machine.
    final class Early: TaskExecutor {
        static let shared = Early()

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            GuestThreads.shared.add(early: true) { [self] in
                job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }
    }

    private let jobs = Mutex<(early: [@Sendable () -> Void], others: [@Sendable () -> Void])>(
        (early: [], others: []))
    private let arrivals = DispatchSemaphore(value: 0)

    private init(count: Int) {
        for _ in 0..<count { Thread.detachNewThread { [self] in runForever() } }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        add(early: false) { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    private func add(early: Bool, _ job: @escaping @Sendable () -> Void) {
        jobs.withLock { early ? $0.early.append(job) : $0.others.append(job) }
        arrivals.signal()
    }

    private func runForever() {
        while true {
            arrivals.wait()
            let job = jobs.withLock { jobs in
                jobs.early.isEmpty
                    ? jobs.others.isEmpty ? nil : jobs.others.removeFirst()
                    : jobs.early.removeFirst()
            }
            job?()
        }
    }
}
