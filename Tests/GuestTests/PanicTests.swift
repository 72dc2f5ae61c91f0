// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// A load comes due while another CPU panics; see Deferral.swift.
    @Suite struct PanicTests {
        /// What holds the daemon up until the panic is under way.
        enum Hold: String, CaseIterable, Sendable {
            /// It is held up just before it asks the kernel log.
            case beforeTheQuestion = "-P /dev/kmsg -e trace=read -e inject=read"
            /// The control: it has asked, and loads in the middle of a panic.
            case afterTheQuestion = "-e trace=kexec_load -e inject=kexec_load"
        }

        /// The panic begins as soon as strace holds the daemon, which it lets go after a second.
        ///
        /// It lasts about three seconds, because each of its 50 lines takes 60 ms, as on a console of
        /// 9,600 baud.
        @Test(arguments: Hold.allCases)
        func `a load that comes due in a panic does not take the dump`(hold: Hold) throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.expect(
                """
                sysctl -q kernel.printk_delay=60
                pid=$(systemctl show -P MainPID kdump-hotplugd); taskset -cp 0 $pid
                setsid -f taskset -c 0 strace \(hold.rawValue):delay_enter=1000000:when=1 \
                -o /run/strace -p $pid >/run/strace.log 2>&1 </dev/null
                until grep -q attached /run/strace.log; do sleep 0.05; done
                setsid -f taskset -c 1 sh -c 'until [ -s /run/strace ]; do sleep 0.02; done
                echo c >/proc/sysrq-trigger' >/dev/null 2>&1 </dev/null
                """)
            try guest.hotAdd(megabytes: 128, id: "dimm", waiting: false)
            switch hold {
            case .beforeTheQuestion:
                #expect(try guest.dump().processors == 2)
            case .afterTheQuestion:
                #expect(throws: GuestError.self) { _ = try guest.dump() }
                #expect(guest.console.contains("Rebooting in 1 seconds"))
            }
        }
    }
}
