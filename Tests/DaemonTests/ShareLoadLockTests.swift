// SPDX-License-Identifier: Apache-2.0

import Testing

extension DaemonTests {
    /// The script that makes the file which the distribution's kdump tool locks.
    @Suite struct ShareLoadLockTests {
        private let machine: FakeMachine
        private static let file = "var/crash/kdump_lock"

        init() throws {
            machine = try FakeMachine()
            // The directory, with a file that is another's.
            try machine.write("var/crash/kexec_cmd", "kexec")
            try machine.write("run/lock/other")
        }

        private func share(_ argument: String) -> CInt {
            machine.run("systemd/share-load-lock", argument)
        }

        @Test(arguments: [
            (["usr/sbin/kdump-config"], "var/crash/kdump_lock"),
            (["usr/bin/kdumpctl", "etc/kdump.conf"], "run/lock/kdump"),
            (["usr/lib/kdump/load.sh", "var/run/x"], "var/run/kdump.lock"),
        ])
        func aMissingFileIsMadeForRootAndRemoved(tool: [String], lock: String) throws {
            for file in tool { try machine.write(file) }
            #expect(share("on") == 0)
            #expect(machine.mode(of: lock) == 0o600)
            #expect(share("on") == 0)
            #expect(share("off") == 0)
            #expect(!machine.has(lock) && !machine.has("run/kdump-hotplugd/load-lock"))
        }

        @Test func whereNoToolIsNothingIsMade() {
            #expect(share("on") == 0 && share("off") == 0)
            #expect(!machine.has(Self.file) && !machine.has("run/lock/kdump"))
        }

        @Test func aFileOfTheToolsStays() throws {
            try machine.write("usr/sbin/kdump-config")
            try machine.write(Self.file)
            #expect(share("on") == 0 && share("off") == 0)
            #expect(machine.has(Self.file))
        }

        @Test func aLinkIsNotFollowed() throws {
            try machine.write("usr/sbin/kdump-config")
            try machine.link(Self.file, to: "../../etc/made")
            try machine.write("etc/other")
            #expect(share("on") == 0)
            #expect(!machine.has("etc/made"))
        }

        @Test func whatIsLockedOrWrittenToStays() throws {
            try machine.write("usr/sbin/kdump-config")
            #expect(share("on") == 0)
            #expect(try machine.whileLocked(Self.file) { share("off") } == 0)
            #expect(machine.has(Self.file))
            try machine.remove(Self.file)
            #expect(share("on") == 0)
            try machine.write(Self.file, "text")
            #expect(share("off") == 0)
            #expect(machine.has(Self.file))
        }

        @Test func aForgedRecordRemovesNothing() throws {
            try machine.write("run/kdump-hotplugd/load-lock", "/run/lock/other\n")
            #expect(share("off") == 0)
            #expect(machine.has("run/lock/other"))
        }

        @Test(arguments: ["", "maybe"])
        func anythingElseIsAMistake(argument: String) {
            #expect(share(argument) == 64)
        }
    }
}
