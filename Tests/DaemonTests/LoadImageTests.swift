// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

extension DaemonTests {
    /// The script that has kexec(8) load, and what the daemon leaves for it.
    @Suite struct LoadImageTests {
        private let machine: FakeMachine

        init() throws {
            machine = try FakeMachine()
            // It writes its arguments down, each on a line.
            try machine.program("kexec", "printf '%s\\n' \"$@\" >$KDUMP_HOTPLUGD_ROOT/arguments")
        }

        private func load(_ order: String) throws -> [String] {
            try machine.write("run/kdump-hotplugd/load-order", order)
            #expect(machine.run("systemd/load-image", "") == 0)
            let text = try machine.systemRoot.text(of: "/arguments")
            return text.split(separator: "\n").map(String.init)
        }

        @Test func everyByteOfAnOrderArrives() throws {
            #expect(
                try load("/proc/7/fd/3\n/proc/7/fd/4\n a=\"b c\" $d \\e `f` *\n")
                    == [
                        "-c", "-p", "--command-line= a=\"b c\" $d \\e `f` *",
                        "--initrd=/proc/7/fd/4", "/proc/7/fd/3",
                    ])
        }

        @Test func whereNoInitrdIsNoneIsNamed() throws {
            #expect(
                try load("/proc/7/fd/3\n\nx\n") == ["-c", "-p", "--command-line=x", "/proc/7/fd/3"])
        }

        @Test func withoutAnOrderNothingIsLoaded() {
            #expect(machine.run("systemd/load-image", "") != 0)
            #expect(!machine.has("arguments"))
        }
    }
}
