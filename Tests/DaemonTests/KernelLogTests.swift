// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// Which of the kernel's messages are about its own updates of the image.
    @Suite struct KernelLogTests {
        @Test(arguments: [
            (
                "6,1033,1234,-;crash hp: kexec_trylock() failed, kdump image may be inaccurate\n",
                true
            ),
            ("6,1,2,c;crash hp: unable to locate elfcorehdr segment\n SUBSYSTEM=x\n", true),
            ("6,1,2,-;something about crash hp: \n", false), ("crash hp: no record", false),
            ("", false), (";", false),
        ])
        func aMessageAboutTheImageIsRecognised(record: String, about: Bool) {
            #expect(KernelLog.isAboutImage(Array(record.utf8)[...]) == about)
        }
    }
}
