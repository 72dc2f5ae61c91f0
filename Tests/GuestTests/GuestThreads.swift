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

    private let jobs = Mutex<[UnownedJob]>([])
    private let arrivals = DispatchSemaphore(value: 0)

    private init(count: Int) {
        for _ in 0..<count { Thread.detachNewThread { [self] in runForever() } }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        arrivals.signal()
    }

    private func runForever() {
        while true {
            arrivals.wait()
            let job = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            job?.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
