// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// Memory is only half there: the kernel lists it, and has no blocks for it yet, or any more.
    @Suite struct UnsettledTests {
        /// Between listing it and making its blocks the kernel is held up, and a check looks meanwhile.
        ///
        /// By itself it takes milliseconds for that, or seconds where there is a lot.
        @Test func `on 6.1 memory that is being added and that nobody uses yet is not missed`()
            throws
        {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.holdUp(untilDone: "kdump-hotplugd --check", withoutBlock: 32)
            try guest.hotAdd(megabytes: 4096, id: "dimm")
            #expect(try guest.wasHeldUp(), "it was not held up")
            let said = try guest.expect("cat /run/meanwhile")
            #expect(said.contains("memory        4.8"), "it was not listed: \(said)")
            #expect(said.contains("all covered") && !said.contains("loses"), "\(said)")
            #expect(try guest.check().output.contains("a crash now loses 4 GiB"))
        }

        /// Memory that is removed leaves the map after the last event, here seconds after it.
        ///
        /// The kernel's worker is held up as soon as the last block has gone. No scrub repairs it.
        @Test func `on 6.1 memory that leaves long after its last event is not listed for long`()
            throws
        {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.useOneCPU()
            let dimm = try guest.hotAdd(megabytes: 512, id: "dimm")
            try guest.expect("echo KDUMP_HOTPLUGD_SCRUB=0 >>/etc/default/kdump-hotplugd")
            try guest.startDaemon()
            try guest.waitUntilOK()
            try guest.expect("chrt -a -f -p 60 $(systemctl show -P MainPID kdump-hotplugd)")
            try guest.holdUp(untilDone: "sleep 8", withoutBlock: 35)
            try guest.hotRemove("dimm")
            #expect(try guest.wasHeldUp(), "it was not held up")
            try guest.waitUntilOK()
            #expect(try !guest.systemMemory().contains { $0.overlaps(dimm) })
        }
    }
}

extension Machine {
    /// Leaves one CPU online, so that a busy loop on it holds everything up at once.
    ///
    /// With two, the kernel's worker got on while one was busy and the other not yet: what is left for it
    /// to do when it removes memory takes no longer than that.
    fileprivate func useOneCPU() throws {
        try expect("echo 0 >/sys/devices/system/cpu/cpu1/online")
    }

    /// Holds the kernel up as soon as it lists the first DIMM and has not, or no longer, one of its blocks,
    /// until a command has ended; its output is then in /run/meanwhile.
    ///
    /// Busy loops, one on each CPU, take all time from the kernel's worker, and the command takes it from
    /// them. After half a minute they end in any case.
    fileprivate func holdUp(untilDone command: String, withoutBlock block: Int) throws {
        try expect(
            """
            cat >/run/freeze <<'END'
            sub is_half_there {
                return 0 if -e '/sys/devices/system/memory/memory\(block)';
                open my $map, '<', '/proc/iomem';
                return scalar grep { /^100000000-/ } <$map>;
            }
            if (@ARGV) {
                select undef, undef, undef, 0.001 until -e '/run/frozen';
                system '\(command) >/run/meanwhile 2>&1';
                mkdir '/run/held' if is_half_there();
                mkdir '/run/thawed';
                exit;
            }
            until (-e '/run/frozen' or is_half_there()) { select undef, undef, undef, 0.0003 }
            mkdir '/run/frozen';
            my $end = time + 30;
            1 until -e '/run/thawed' or time > $end;
            END
            sysctl -q kernel.sched_rt_runtime_us=-1
            setsid -f chrt -f 60 perl /run/freeze act </dev/null >/dev/null 2>&1
            for cpu in $(seq 0 $(($(nproc) - 1))); do
            setsid -f taskset -c $cpu chrt -f 50 perl /run/freeze </dev/null >/dev/null 2>&1
            done
            """)
    }

    /// Whether the memory was half there before and after the command.
    fileprivate func wasHeldUp() throws -> Bool { try run("[ -e /run/held ]").status == 0 }
}
