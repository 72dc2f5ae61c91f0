// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// Which of the kernel's messages are about what.
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
            #expect(KernelLog.Topic.image.matches(Array(record.utf8)[...]) == about)
        }

        @Test(arguments: [
            ("0,1033,1234,-;Kernel panic - not syncing: sysrq triggered crash\n", true),
            ("1,1034,1234,-;BUG: unable to handle page fault for address: 0\n", true),
            ("2,1,2,-;critical, and nothing follows\n", false),
            ("6,1,2,-;0,1,2,-;in the text\n", false),
            ("8,1,2,-;an emergency that a program has written\n", false),
            ("0,1,2,-", false), (";", false), ("", false),
        ])
        func anAlarmOfTheKernelIsRecognised(record: String, isAlarm: Bool) {
            #expect(KernelLog.Topic.alarm.matches(Array(record.utf8)[...]) == isAlarm)
        }
    }
}
