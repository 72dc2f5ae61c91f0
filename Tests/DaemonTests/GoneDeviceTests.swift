// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Engine

extension DaemonTests {
    /// A device that goes while its files are read; it takes root to make up one.
    @Suite struct GoneDeviceTests {
        @Test func itsFilesAreNotThere() throws {
            let machine = try FakeMachine()
            try machine.write("there", "1\n")
            // A miscellaneous device that no driver has: it cannot be opened (ENODEV).
            let node = machine.systemRoot.path("/gone")
            try #require(mknod(node, S_IFCHR | 0o600, dev_t(10 << 8 | 250)) == 0)
            #expect(open(node, O_RDONLY | O_CLOEXEC) < 0 && errno == ENODEV)
            #expect(try machine.systemRoot.line(of: "/gone") == nil)
            #expect(try machine.systemRoot.line(of: "/gone", "/there") == "1")
        }
    }
}
