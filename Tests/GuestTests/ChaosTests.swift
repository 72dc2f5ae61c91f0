// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// Crashes at random moments, while DIMMs, virtio-mem's memory and a CPU come and go at random.
    ///
    /// The crash comes from a process that first says what the machine has. An ordinary run makes one
    /// crash of a fixed seed, so that `make chaos` is known to work; that makes as many as
    /// KDUMP_HOTPLUGD_CHAOS says, and a fifth of them, with the same storms, for each ``Follower`` that
    /// the daemon is compared with. What it counts goes to the file KDUMP_HOTPLUGD_CHAOS_TABLE.
    @Suite struct ChaosTests {
        /// One crash.
        private struct Crash: CustomStringConvertible {
            let kernel: Kernel
            let seed: UInt64
            let follower: Follower
            let plan: ChaosPlan

            init(_ kernel: Kernel, seed: UInt64, _ follower: Follower) {
                (self.kernel, self.seed, self.follower) = (kernel, seed, follower)
                plan = ChaosPlan(seed: seed)
            }

            var loading: Loading { follower.loading ?? plan.loading }

            var description: String {
                "\(kernel) seed \(seed), \(loading.rawValue), \(follower.rawValue)"
            }
        }

        /// What came of it.
        private enum Outcome {
            case complete
            case incomplete(String)
            /// The crash came while this function of the kernel held the kexec lock, which keeps the
            /// kernel from starting any image.
            case locked(by: String)
            case lost(String)
        }

        private static let environment = ProcessInfo.processInfo.environment
        private static let wanted = environment["KDUMP_HOTPLUGD_CHAOS"].flatMap { Int($0) }
        /// The first crash's seed; each further one has the next.
        private static let seed =
            environment["KDUMP_HOTPLUGD_CHAOS_SEED"].flatMap { UInt64($0) }
            ?? (wanted == nil ? 1 : UInt64.random(in: 0..<1_000_000))
        private static let kernels =
            wanted == nil
            ? [Kernel.v6_1]
            : Kernel.all.filter { kernel in
                let name = environment["KDUMP_HOTPLUGD_CHAOS_KERNEL"]
                return name == nil || name == kernel.description
            }
        /// How many CPUs a guest has before any comes: no more, with the one that comes, than this machine.
        ///
        /// A patch flushes the TLBs of all CPUs. If one of them waits for its turn on this machine, the
        /// patch takes 10 to 30 ms instead of 1 to 3, and the floor of protection (Loads.swift) keeps the
        /// daemon from following.
        private static let processors = min(
            2, max(1, ProcessInfo.processInfo.activeProcessorCount - 1))
        /// How many guests live at a time, for the same reason; one kernel follows another.
        private static let lanes = max(
            1, ProcessInfo.processInfo.activeProcessorCount / (processors + 1))

        /// Added to a guest's command line, has a kernel that finds no image to start say on its console
        /// who held the kexec lock.
        ///
        /// The probes are set at boot. Setting them in a running kernel has hung one guest in a hundred
        /// (QEMU 7.2).
        private static let recordsHolders: String = {
            let functions = [
                "do_kexec_load", "__do_sys_kexec_file_load", "crash_handle_hotplug_event",
                "crash_check_hotplug_support", "crash_get_memory_size",
            ]
            let events = functions.flatMap { name in
                ["p:chaos/taken_\(name),\(name)", "r:chaos/free_\(name),\(name)"]
            }
            return "ftrace_dump_on_oops kprobe_event=\(events.joined(separator: ";"))"
        }()

        @Test(.serialized, arguments: kernels)
        func `a crash at any moment of a storm leaves a dump of the machine as it is`(
            kernel: Kernel
        ) throws {
            let count = Self.wanted ?? 1
            let mine = try outcomes(kernel, count, .daemon)
            #expect(mine.captured + mine.locked == count)
            // Patches take at most one hundredth of the time (Loads.swift), the kernel's own updates
            // about two under emulation.
            #expect(mine.locked <= max(1, count / 20), "the lock is held too long")
            // Of one or two crashes none need be complete: a storm has moments in which none could be.
            guard count >= 20 else { return }
            #expect(mine.complete * 10 >= count * 9, "\(mine.complete) of \(count) complete")
            for peer in Follower.peers(on: kernel) {
                let theirs = try outcomes(kernel, count / 5, peer)
                guard peer == .nobody else { continue }
                #expect(theirs.complete * 2 <= count / 5, "the storm needs nobody to follow it")
            }
        }

        /// Makes crashes, as many at a time as there are lanes.
        private func outcomes(_ kernel: Kernel, _ count: Int, _ follower: Follower) throws
            -> ChaosCount
        {
            let results = Results()
            let queue = OperationQueue()
            queue.maxConcurrentOperationCount = min(count, Self.lanes)
            for seed in Self.seed..<Self.seed + UInt64(count) {
                queue.addOperation {
                    let crash = Crash(kernel, seed: seed, follower)
                    results.add(crash.description, Result { try outcome(of: crash) })
                }
            }
            queue.waitUntilAllOperationsAreFinished()
            let counted = results.count
            print("[chaos] \(kernel), \(follower.rawValue): \(counted) of \(count)")
            try counted.note(kernel, follower, of: count)
            return counted
        }

        /// Lives through one storm.
        private func outcome(of crash: Crash) throws -> Outcome {
            let plan = crash.plan
            let guest = try guest(crash.kernel, crash.follower.beginning(crash.loading)) {
                $0.virtioMemory = ChaosPlan.virtioMemory
                $0.commandLine = "\(Machine.stopsOnlyStartedCPUs) \(Self.recordsHolders)"
                $0.losesCPUs = true
                $0.processors = Self.processors
            }
            let reserved = try guest.reservedMemory()
            try guest.prepareForChanges()
            try crash.follower.begin(on: guest)
            try guest.expect(
                """
                setsid -f sh -c 'sleep \(plan.crash); exec /tools/guest-probe crash' \
                >/run/crash.log 2>&1 </dev/null
                """)
            guest.change(by: plan.changes, megabytes: plan.size)
            let dump: Vmcore
            do {
                dump = try guest.dump()
            } catch {
                return LastWords.holder(in: guest.console).map { .locked(by: $0) }
                    ?? .lost("\(error)")
            }
            guard let words = LastWords(in: guest.console) else {
                throw GuestError.garbled("no last words: \(guest.console.suffix(400))")
            }
            return words.fault(of: dump, reserved: reserved).map { .incomplete($0) } ?? .complete
        }

        /// What several guests have come to.
        private final class Results: @unchecked Sendable {
            private let lock = NSLock()
            private var sums = ChaosCount()

            var count: ChaosCount { lock.withLock { sums } }

            func add(_ crash: String, _ result: Result<Outcome, any Error>) {
                lock.withLock {
                    switch result {
                    case .success(.complete):
                        sums.captured += 1
                        sums.complete += 1
                    case .success(.incomplete): sums.captured += 1
                    case .success(.locked): sums.locked += 1
                    case .success(.lost), .failure: break
                    }
                }
                switch result {
                case .success(let outcome): print("[chaos] \(crash): \(outcome)")
                case .failure(let error): print("[chaos] \(crash): FAILED: \(error)")
                }
            }
        }
    }
}
