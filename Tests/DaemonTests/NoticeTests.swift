// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// Which of udev's words are a notice; no event is needed to know.
    @Suite struct NoticeTests {
        @Test(arguments: Uevents.Subsystem.allCases, Uevents.Action.allCases)
        func whatChangesADumpIs(subsystem: Uevents.Subsystem, action: Uevents.Action) {
            let name = "\(subsystem)4095"
            let notice = Uevents.Notice(
                subsystem: "\(subsystem)", name: name, action: "\(action)")
            #expect(notice == .changed(subsystem, name: name, action))
        }

        @Test(arguments: ["cpu", "cpu1x", "cpux1", "cpu ", "cpu-1", "cpu١", "1", "", "memory1"])
        func aNameWithoutANumberIsNot(name: String) {
            #expect(Uevents.Notice(subsystem: "cpu", name: name, action: "add") == nil)
        }

        @Test(arguments: ["change", "bind", "unbind", "move", "", "ADD"])
        func anotherActionIsNot(action: String) {
            #expect(Uevents.Notice(subsystem: "cpu", name: "cpu1", action: action) == nil)
        }

        @Test(arguments: ["", "node", "CPU", "cpuidle"])
        func anotherSubsystemIsNot(subsystem: String) {
            #expect(Uevents.Notice(subsystem: subsystem, name: "cpu1", action: "add") == nil)
        }
    }
}
