// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// Machines that change at random under patched images, and crash; `make soak` runs many.
    ///
    /// Each round is a machine of its own: booted, loaded, changed one to six times, crashed. An
    /// ordinary run makes one round of a fixed seed, so that a soak is known to work. The controls
    /// are those of PatchTests.
    @Suite struct SoakTests {
        /// One round.
        private struct Round: CustomStringConvertible {
            let kernel: Kernel
            let seed: UInt64
            let plan: SoakPlan

            init(kernel: Kernel, seed: UInt64) {
                self.kernel = kernel
                self.seed = seed
                plan = SoakPlan(seed: seed, on: kernel)
            }

            var description: String {
                let steps = plan.steps.map { "\($0)" }.joined(separator: ", ")
                return "\(kernel) seed \(seed): \(plan.loading.rawValue), \(steps)"
            }
        }

        private static let environment = ProcessInfo.processInfo.environment
        /// How many rounds each kernel gets; `nil` in an ordinary run.
        private static let wanted = environment["KDUMP_HOTPLUGD_SOAK"].flatMap { Int($0) }
        /// The first round's seed; each further one has the next.
        ///
        /// To see a round again, give its seed, name its kernel, and ask for one round.
        private static let seed =
            environment["KDUMP_HOTPLUGD_SOAK_SEED"].flatMap { UInt64($0) }
            ?? (wanted == nil ? 1 : UInt64.random(in: 0..<1_000_000))

        /// All kernels, or the one that is named; in an ordinary run one that patches everything.
        private static let kernels =
            wanted == nil
            ? [Kernel.v6_1]
            : Kernel.all.filter { kernel in
                let name = environment["KDUMP_HOTPLUGD_SOAK_KERNEL"]
                return name == nil || name == kernel.description
            }

        @Test(arguments: kernels)
        func `whatever happens to a machine, its patched image dumps all of it`(
            kernel: Kernel
        ) throws {
            let count = max(1, Self.wanted ?? 1)
            var captured = 0
            for seed in Self.seed..<Self.seed + UInt64(count) {
                let round = Round(kernel: kernel, seed: seed)
                do {
                    print("[soak] \(round): \(try outcome(of: round))")
                    captured += 1
                } catch is ExpectationFailedError {
                    print("[soak] \(round): FAILED, see above")
                } catch {
                    print("[soak] \(round): FAILED: \(error)")
                    Issue.record(error, "\(round)")
                }
            }
            print("[soak] \(kernel): \(captured) of \(count) patched crashes captured whole")
            #expect(captured == count)
        }

        /// Lives through a round, and says what came of it.
        private func outcome(of round: Round) throws -> String {
            let begin = ContinuousClock.now
            let guest = try guest(round.kernel, .watched(round.plan.loading)) {
                $0.losesCPUs = true
            }
            try guest.traceLoads()
            for step in round.plan.steps {
                try step.make(in: guest)
                try guest.waitUntilOK()
            }
            let patches = try guest.loads(by: "kexec_load")
            try #require(patches > 0, "\(round): nothing was patched")
            let story = "\(round)\n\(try guest.daemonJournal())"
            try #require(try guest.loads(by: "kexec_file_load") == 0, "\(story)")
            try #require(try guest.report().integrity == "verified", "\(story)")
            let memory = try guest.memoryToDump()
            let online = try guest.expect("grep -c ^processor /proc/cpuinfo")
            // Added memory lies above 4 GiB; else where most of the machine's is.
            let added = memory.last { $0.lowerBound >= 4 << 30 }
            let place = try #require(added ?? memory.max { $0.count < $1.count })
            let marks = try guest.mark(place, count: marked)
            let dump = try crash(guest, looking: marks)
            try #require(dump.memory.aboveLegacy == memory, "\(story)")
            try #require("\(dump.processors)" == online, "\(story)")
            try #require(dump.marks.intact == marks.pages, "\(story)")
            let bytes = memory.reduce(0) { $0 + $1.count }
            let seconds = Int(begin.duration(to: .now).inSeconds)
            return "\(patches) patches, then \(bytes >> 20) MiB, \(online) CPUs and"
                + " \(marks.pages.count) marks in the dump; \(seconds) s"
        }
    }
}
