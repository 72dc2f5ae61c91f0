// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import KdumpHotplugd

private let cpu = "/sys/devices/system/cpu/cpu0/uevent"
private let memory = "/sys/devices/system/memory/memory0/uevent"

extension DaemonTests {
    /// What this machine's own kernel says, made to say it through its `uevent` files.
    ///
    /// Without root, a writable /sys or memory blocks they fail: a skipped test shows nothing.
    @Suite struct KernelUeventsTests {
        /// Lets the kernel say `action`, so often; each time before the write returns.
        private func say(_ action: String, at path: String, times: Int = 1) throws {
            let file = open(path, O_WRONLY | O_CLOEXEC)
            try #require(file >= 0)
            defer { close(file) }
            for _ in 0..<times { try #require(write(file, action, action.utf8.count) > 0) }
        }

        private func drained(_ uevents: Uevents) -> [Uevents.Notice] {
            var notices: [Uevents.Notice] = []
            uevents.drain { notices.append($0) }
            return notices
        }

        @Test func aProcessorArrives() throws {
            let uevents = try Uevents(group: .kernel)
            try say("online", at: cpu)
            try say("change", at: cpu)
            try say("offline", at: cpu)
            #expect(
                drained(uevents) == [
                    .changed(.cpu, name: "cpu0", .online), .changed(.cpu, name: "cpu0", .offline),
                ])
        }

        @Test func aMemoryBlockArrives() throws {
            let uevents = try Uevents(group: .kernel)
            try say("online", at: memory)
            #expect(drained(uevents) == [.changed(.memory, name: "memory0", .online)])
        }

        @Test func nothingOfAStormIsLost() throws {
            let uevents = try Uevents(group: .kernel)
            try say("online", at: cpu, times: 2000)
            let online = Uevents.Notice.changed(.cpu, name: "cpu0", .online)
            #expect(drained(uevents) == Array(repeating: online, count: 2000))
        }

        @Test func whatDoesNotFitIsReportedAsLostOnceAndTheRestArrives() throws {
            let uevents = try Uevents(group: .kernel, buffer: 1)
            try say("online", at: cpu, times: 200)
            let notices = drained(uevents)
            #expect(notices.count { $0 == .lost } == 1)
            #expect((2..<200).contains(notices.count))
            // It works as before when there is room again, and reports another loss.
            try say("offline", at: cpu)
            #expect(drained(uevents) == [.changed(.cpu, name: "cpu0", .offline)])
            try say("online", at: cpu, times: 200)
            #expect(drained(uevents).contains(.lost))
        }
    }
}
