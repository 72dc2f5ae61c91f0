// SPDX-License-Identifier: Apache-2.0

import Engine
import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// What is said of devices that this machine need not have.
    @Suite struct MockedUeventsTests {
        private let testbed: Testbed
        private let uevents: Uevents

        init() throws {
            testbed = try Testbed()
            uevents = try Uevents()
        }

        private func drained() -> [Uevents.Notice] {
            var notices: [Uevents.Notice] = []
            uevents.drain { notices.append($0) }
            return notices
        }

        @Test(arguments: [(Uevents.Subsystem.cpu, "cpu77"), (.memory, "memory40")])
        func everythingThatMayHappenArrives(subsystem: Uevents.Subsystem, name: String) throws {
            let path = try testbed.add(subsystem.rawValue, name)
            for action in ["online", "offline", "remove"] { testbed.say(action, of: path) }
            #expect(
                drained() == [
                    .changed(subsystem, name: name, .add),
                    .changed(subsystem, name: name, .online),
                    .changed(subsystem, name: name, .offline),
                    .changed(subsystem, name: name, .remove),
                ])
        }

        @Test func changesAndBindingsDoNot() throws {
            let path = try testbed.add("cpu", "cpu3")
            for action in ["change", "bind", "unbind", "move"] { testbed.say(action, of: path) }
            #expect(drained() == [.changed(.cpu, name: "cpu3", .add)])
        }

        @Test(arguments: [
            ("cpu", "cpufreq"), ("cpu", "cpu"), ("cpu", "cpu1x"), ("cpu", "memory3"),
            ("memory", "memory_tiering"), ("memory", "memory"), ("memory_tiering", "memory_tier4"),
            ("block", "sda"), ("node", "node0"), ("node", "cpu3"), ("node", "memory3"),
        ])
        func otherDevicesDoNot(subsystem: String, name: String) throws {
            let path = try testbed.add(subsystem, name)
            for action in ["online", "offline", "remove"] { testbed.say(action, of: path) }
            #expect(drained().isEmpty)
        }

        @Test func theLoopIsWokenByThem() throws {
            let loop = try EventLoop()
            let tooLate = try loop.makeAlarm { [unowned loop] in loop.exit(1) }
            try tooLate.set(at: loop.now + patience)
            var notices: [Uevents.Notice] = []
            try loop.whenReadable(uevents.fd) { [unowned loop, uevents] in
                uevents.drain { notices.append($0) }
                if notices.count == 2 { loop.exit(0) }
            }
            testbed.say("offline", of: try testbed.add("cpu", "cpu77"))
            #expect(try loop.run() == 0)
            #expect(
                notices == [
                    .changed(.cpu, name: "cpu77", .add), .changed(.cpu, name: "cpu77", .offline),
                ])
        }
    }
}
