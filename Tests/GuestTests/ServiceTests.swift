// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// The daemon as systemd's service: hung, killed, stopped, and in the way of others.
    @Suite struct ServiceTests {
        @Test func `on 6.1 a hung daemon is replaced by one that is right again`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            // The unit's own minute is for machines that load slowly; the mechanism is the same. Half of it
            // is left when the daemon stops, and what comes before its end takes a second.
            try guest.adjustService("WatchdogSec=20s")
            try guest.startDaemon()
            try guest.waitUntilOK()
            let first = try guest.expect("systemctl show -P MainPID kdump-hotplugd")
            try guest.expect("kill -STOP \(first)")
            // What happens now, nobody sees.
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            #expect(try guest.check("--quick").status == 2)
            try guest.waitUntil("[ $(systemctl show -P NRestarts kdump-hotplugd) -ge 1 ]")
            try guest.waitUntilOK()
            #expect(try guest.expect("systemctl show -P MainPID kdump-hotplugd") != first)
            #expect(try guest.expect("journalctl -u kdump-hotplugd").contains("Watchdog timeout"))
            #expect(try crash(guest).covers(dimm))
        }

        @Test func `on 6.1 rules are masked, a busy kernel is waited for, and a stop leaves all`()
            throws
        {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try expectMaskedRules(guest)
            try expectPatience(guest)
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
            #expect(try guest.daemonJournal().contains("Stopping; the crash kernel stays as it is"))
            #expect(try guest.check().status == 1)
        }

        /// The rule of Debian's kdump-tools, which fails as always, runs without the daemon and not
        /// with it.
        private func expectMaskedRules(_ guest: Machine) throws {
            #expect(try ruleRuns(guest))
            try guest.startDaemon()
            try guest.waitUntilOK()
            #expect(try !ruleRuns(guest))
            try guest.expect("systemctl kill --signal=KILL kdump-hotplugd")
            try guest.waitUntil("[ $(systemctl show -P NRestarts kdump-hotplugd) -ge 1 ]")
            try guest.waitUntilOK()
            #expect(try !ruleRuns(guest))
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try ruleRuns(guest))
            try guest.startDaemon()
        }

        private func ruleRuns(_ guest: Machine) throws -> Bool {
            let before = try guest.failedRuleReloads()
            try guest.expect(
                "udevadm trigger --action=online /sys/devices/system/memory/memory0 --settle")
            return try guest.failedRuleReloads() > before
        }

        /// A rule like SUSE's, which its service copies to /run on every load.
        @Test func `on 6.1 a rule in /run is masked in /etc, also after a loss of power`() throws {
            let guest = try guest(.v6_1, .loaded(.kernel))
            try guest.expect(
                """
                mkdir -p /usr/lib/kdump /run/udev/rules.d
                echo 'SUBSYSTEM=="memory", ACTION=="online", RUN+="/bin/touch /run/rule-ran"' \
                >/usr/lib/kdump/70-kdump.rules
                """)
            func runs() throws -> Bool {
                // As load.sh does; then what udevd does about an event.
                try guest.expect(
                    "rm -f /run/rule-ran; cp /usr/lib/kdump/70-kdump.rules /run/udev/rules.d/")
                try guest.expect(
                    "udevadm trigger --action=online /sys/devices/system/memory/memory0 --settle")
                return try guest.run("[ -e /run/rule-ran ]").status == 0
            }
            #expect(try runs())
            try guest.startDaemon()
            #expect(try !runs())
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try runs())
            // What a loss of power leaves: the link in /etc, and nothing in /run.
            try guest.startDaemon()
            try guest.expect("cp -d /etc/udev/rules.d/70-kdump.rules /root/left")
            try guest.expect(
                "systemctl stop kdump-hotplugd; cp -d /root/left /etc/udev/rules.d/70-kdump.rules")
            try guest.expect("udevadm control --reload")
            print("[guest] a mask that leads nowhere \(try runs() ? "masks nothing" : "masks")")
            try guest.startDaemon()
            #expect(try !runs())
            try guest.expect("systemctl stop kdump-hotplugd")
            #expect(try runs())
            #expect(try guest.run("ls /etc/udev/rules.d/70-kdump.rules").status != 0)
        }

        /// Somebody else holds the kexec lock nearly all the time while the machine changes.
        ///
        /// It is for the kernel to reboot into that is loaded there, so the crash kernel stays; a big
        /// initrd makes it take long.
        private func expectPatience(_ guest: Machine) throws {
            try guest.expect(
                """
                truncate -s 150M /var/tmp/big
                setsid -f bash -c 'while [ ! -e /run/enough ]; do
                kexec -s -l /boot/vmlinuz-$(uname -r) --initrd=/var/tmp/big --command-line=x
                done' >/run/loader 2>&1 </dev/null
                """)
            try guest.waitUntil("[ $(cat /sys/kernel/kexec_loaded) = 1 ]")
            let isBusy = "journalctl -u kdump-hotplugd | grep -q 'busy with another load'"
            var changes = 0
            // A patch may fall between two loads, and then another change must come.
            repeat {
                changes += 1
                try #require(changes <= 6, "every patch fell between two loads")
                try guest.hotAdd(megabytes: 128, id: "dimm-\(changes)")
                try guest.expect("for i in $(seq 20); do \(isBusy) && break; sleep 0.2; done")
            } while try guest.run(isBusy).status != 0
            try guest.expect("touch /run/enough")
            try guest.waitUntilOK()
        }

        /// While an image with a big initrd is loaded over the old one there is none.
        @Test func `on 6.1 a check during a reload says that one is under way`() throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            try guest.expect(
                "cp \(GuestImage.captureInitrd) /srv/big; truncate -s 100M /srv/big")
            try guest.configureDaemon(initrd: "/srv/big", patches: false)
            try guest.startDaemon()
            try guest.expect(
                """
                setsid -f bash -c 'until [ -e /run/enough ]; do
                kdump-hotplugd --check --quick | head -n 1
                done' >/run/said 2>&1 </dev/null
                """)
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            let said = try guest.expect("touch /run/enough; cat /run/said").split(separator: "\n")
            let away = said.filter { $0.contains("leaves no dump") }
            #expect(!away.isEmpty, "\(said)")
            #expect(
                away.allSatisfy { $0.contains(": kdump-hotplugd is loading the crash kernel|") },
                "\(said)")
        }

        /// A kernel that asks to be aligned to 1 GiB looks right and fits nowhere in 192 MiB, which
        /// the kernel finds out after it has dropped the old image.
        @Test(arguments: [true, false])
        func `on 6.1 a load that fails after the drop is made good, else alarmed and repeated`(
            canRestore: Bool
        ) throws {
            let guest = try guest(.v6_1, .watched(.kernel))
            // The distribution's service would load another one.
            try guest.expect("systemctl mask kdump-tools")
            if !canRestore { try guest.spoilLoads(1) }
            // kernel_alignment of the boot protocol, four bytes at 0x230.
            try guest.expect(
                """
                cp /boot/vmlinuz-$(uname -r) /run/good; cp /run/good /run/kernel
                printf '\\0\\0\\0\\100' | dd of=/run/kernel bs=1 seek=$((0x230)) conv=notrunc
                """)
            try guest.configureDaemon(kernel: "/run/kernel", patches: false)
            try guest.startDaemon()
            try guest.hotAddCPU(socket: 2)
            if canRestore {
                let words = "that image was loaded again from reserved memory"
                try guest.waitUntil("journalctl -u kdump-hotplugd -p err | grep -q '\(words)'")
                let report = try guest.report()
                #expect(report.summary.hasPrefix("a crash now loses CPU 2"))
                #expect(report.integrity == "verified")
                #expect(report.obstacles.first?.contains("refuses to load /run/kernel") == true)
                #expect(try guest.run("journalctl -u kdump-hotplugd -p alert -q").output.isEmpty)
            } else {
                let alert = "journalctl -u kdump-hotplugd -p alert | grep -q 'NOT PROTECTED'"
                try guest.waitUntil(alert)
                let check = try guest.check()
                #expect(check.status == 2)
                #expect(check.output.contains("a crash now leaves no dump"))
                #expect(try guest.daemonStatus().contains("NOT PROTECTED"))
                #expect(try guest.daemonJournal().contains("restart kdump-tools.service"))
            }
            try guest.expect("cp /run/good /run/kernel.new; mv /run/kernel.new /run/kernel")
            try guest.waitUntilOK()
            #expect(try crash(guest).processors == 3)
        }
    }
}
