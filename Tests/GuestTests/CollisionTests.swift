// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest
import Testing

extension GuestTests {
    /// kdump-tools and the daemon load at the same time, again and again.
    ///
    /// kdump-tools takes no lock to reload, so nothing keeps the two apart but the kernel's own lock.
    /// What is loaded when both are done is read from outside. Without the daemon the same changes are
    /// lost: LoaderTests.
    @Suite(.tags(.long)) struct CollisionTests {
        private static let isSoak =
            ProcessInfo.processInfo.environment["KDUMP_HOTPLUGD_SOAK"] != nil
        /// How many seconds kdump-tools takes to reload on a quiet machine with two cores.
        private static let quietReload = 2.0
        /// How many collisions are made in each test: less in an ordinary run than by `make soak`.
        private static let wanted = isSoak ? 25 : 2

        @Test(arguments: [true, false])
        func `on 6.1 kdump-tools and the daemon load at the same time`(patches: Bool) throws {
            let guest = try guest(.v6_1, .loaded(.distribution)) { $0.sharesMemory = true }
            try guest.expect(
                "echo KDUMP_HOTPLUGD_NO_PATCH=\(patches ? 0 : 1) >/etc/default/kdump-hotplugd")
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.traceLoads()
            let slowness = try slowness(guest)
            var rounds: [Machine.Collision] = []
            var hits: [Double] = []
            // A round in which the two miss each other is none of those wanted; an odd number of rounds
            // leaves the DIMM plugged in, for the marks.
            while hits.count < Self.wanted || rounds.count.isMultiple(of: 2) {
                try #require(rounds.count < 10 * max(3, Self.wanted), "they hardly ever meet")
                let pause = pause(near: hits, patches: patches, slowness)
                let round = try play(guest, pause, isAddition: rounds.count.isMultiple(of: 2))
                rounds.append(round)
                if round.loads > 0 { hits.append(pause) }
                try guest.waitUntilOK()
                #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
                let report = try guest.report()
                #expect(report.integrity == "verified")
                let place = try #require(report.coreHeader?.place.addresses)
                #expect(try guest.memoryInCoreHeader(in: place) == guest.memoryToDump())
                print("[guest] round \(rounds.count), \(pause) s: \(round)")
            }
            tell(rounds, patches: patches)
            let memory = try guest.memoryToDump()
            let marks = try guest.mark(try #require(memory.last), count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.memory.aboveLegacy == memory)
            #expect(dump.marks.intact == marks.pages)
        }

        /// For how many seconds kdump-tools is ahead of the hotplug.
        ///
        /// It unloads soon after its start and loads a second later. The daemon patches at once, and so
        /// meets it only before it has unloaded; it reloads when it has read its files. When that is
        /// depends on how quick the machine is, so most rounds aim close to where they have met.
        private func pause(
            near hits: [Double], patches: Bool, _ slowness: Double
        ) -> Double {
            guard let hit = hits.randomElement(), Int.random(in: 0..<4) > 0 else {
                return .random(in: patches ? -0.3...0.5 : -3...0) * slowness
            }
            return hit + .random(in: -0.3...0.3)
        }

        /// How many times longer than on a quiet machine things take.
        private func slowness(_ guest: Machine) throws -> Double {
            let begin = ContinuousClock.now
            try guest.expect("kdump-config reload")
            return max(1, begin.duration(to: .now).inSeconds / Self.quietReload)
        }

        /// Lets a DIMM come or go and kdump-tools reload, `pause` seconds earlier.
        private func play(
            _ guest: Machine, _ pause: Double, isAddition: Bool
        ) throws -> Machine.Collision {
            // With the digest known, the daemon is as quick as on real machines.
            try guest.expect("systemctl reload kdump-hotplugd")
            try guest.startReload(after: max(0, -pause))
            try guest.expect("sleep \(max(0, pause))")
            if isAddition {
                try guest.hotAdd(megabytes: 128, id: "dimm")
            } else {
                try guest.hotRemove("dimm")
            }
            return try guest.awaitReload()
        }

        private func tell(_ rounds: [Machine.Collision], patches: Bool) {
            let loads = rounds.reduce(0) { $0 + $1.loads }
            let busy = rounds.reduce(0) { $0 + $1.busy }
            let failed = rounds.filter { $0.status != 0 }.count
            print(
                "[guest] \(patches ? "patches" : "reloads"): \(rounds.count) rounds, the daemon"
                    + " loaded \(loads) times while kdump-tools ran, \(busy) calls met another,"
                    + " kdump-tools failed \(failed) times")
        }
    }
}
