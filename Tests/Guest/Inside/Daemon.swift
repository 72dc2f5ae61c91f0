// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The daemon inside a guest: installed as a package would, configured, started and asked.
///
/// What is installed is the payload that `make install` laid out, so the guests run what ships.
extension Machine {
    /// What `make install` laid out for guests.
    package static let payload = payload(for: .pc)

    /// The same for guests of any kind of machine.
    package static func payload(for platform: Platform) -> String {
        Repository.path(".build/payload" + platform.machine.payloadSuffix)
    }

    /// Where `make deb` leaves the Debian package, for guests that are a whole system.
    package static let packages = Repository.path(".build/deb")

    /// Copies the payload to its places and lets systemd and the journal know of it.
    package func installDaemon() throws(GuestError) {
        try expect(
            """
            cp -a --no-preserve=ownership /payload/. / && rmdir --ignore-fail-on-non-empty /lost+found
            journalctl --update-catalog && systemctl daemon-reload
            """)
    }

    /// Writes the daemon's settings; what is left out is the capture kernel of the tests.
    package func configureDaemon(
        kernel: String? = nil, initrd: String = GuestImage.captureInitrd,
        commandLine: String? = nil,
        patches: Bool = true
    ) throws(GuestError) {
        try expect(
            """
            cat >/etc/default/kdump-hotplugd <<END
            KDUMP_HOTPLUGD_KERNEL=\(kernel ?? captureKernel)
            KDUMP_HOTPLUGD_INITRD=\(initrd)
            KDUMP_HOTPLUGD_COMMAND_LINE="\(commandLine ?? captureCommandLine)"
            KDUMP_HOTPLUGD_NO_PATCH=\(patches ? 0 : 1)
            END
            """)
    }

    /// Adds a line to the unit's service section, by a drop-in; to be called before it is started.
    package func adjustService(_ line: String) throws(GuestError) {
        try expect(
            """
            mkdir -p /run/systemd/system/kdump-hotplugd.service.d
            printf '[Service]\\n%s\\n' '\(line)' \
            >/run/systemd/system/kdump-hotplugd.service.d/test.conf
            systemctl daemon-reload
            """)
    }

    /// Gives the daemon's directory in /run a small file system of its own, so that nobody else makes
    /// room in it; to be called before it is started.
    package func separateStateDirectory() throws(GuestError) {
        try expect(
            """
            mkdir -p /run/kdump-hotplugd
            mount -t tmpfs -o size=256k,mode=755 tmpfs /run/kdump-hotplugd
            """)
    }

    /// Starts the daemon, again if it runs, and returns when it has said that it is ready.
    package func startDaemon() throws(GuestError) {
        try expect("systemctl restart kdump-hotplugd")
    }

    /// Has the daemon read its settings again, and returns when it has said what it found.
    ///
    /// `systemctl reload` alone may return before the daemon has begun: systemd 252 learns of the reload
    /// from the daemon, and takes it for done if the signal is sent and nothing has been heard.
    package func reloadDaemon() throws(GuestError) {
        try expect("touch /run/asked; sleep 0.01; systemctl reload kdump-hotplugd")
        try waitUntil("[ /run/kdump-hotplugd/state.json -nt /run/asked ]")
    }

    /// Runs `kdump-hotplugd --check`.
    package func check(_ options: String = "") throws(GuestError) -> (status: Int, output: String) {
        try run("kdump-hotplugd --check \(options)")
    }

    /// Waits until `--check` says OK, as it does when the daemon has seen to a hotplug, and until the
    /// daemon has said the same: it makes sure of what it loaded first.
    package func waitUntilOK() throws(GuestError) {
        // Not before the daemon has had time to act, nor while it says itself that it has not finished.
        // Its report is the last that it writes of what it has done, and its state the first; both can
        // have the same time, which a file gets in steps of 4 ms. Without the
        // digest, which takes seconds under emulation: it is for the tests that want it, and for every
        // crash.
        // It starts no program but the probe: under emulation each takes 40 ms.
        let agree = """
            { cd /run/kdump-hotplugd && [ ! -e load-under-way -a ! saved-state.json -nt state.json ] && \
            [[ $(<state.json) == *'"verdict":"OK"'* ]] && said=$(kdump-hotplugd --check --quick) && \
            said=${said%%[|$'\n']*} && [[ $(<state.json) == *"${said#KDUMP OK - }"* ]]; }
            """
        do {
            try expect("sleep 0.5")
            try waitUntil(agree)
            // What the daemon has said is then to be found in the journal.
            try expect("journalctl --sync")
        } catch {
            let journal = try run(
                """
                kdump-hotplugd --check; ls -l --full-time /run/kdump-hotplugd
                head -c 1000 /run/kdump-hotplugd/state.json
                journalctl -u 'kdump-hotplugd*' --no-pager -o short-monotonic
                """)
            throw .timedOut("\(error)\n\(journal.output)")
        }
    }

    /// What the service says of itself, as `systemctl status` shows it.
    package func daemonStatus() throws(GuestError) -> String {
        try expect("systemctl show -P StatusText kdump-hotplugd")
    }

    /// The daemon's journal so far.
    package func daemonJournal() throws(GuestError) -> String {
        try expect("journalctl --sync; journalctl -u kdump-hotplugd --no-pager -o cat")
    }

    /// Traces every system call that loads or unloads a crash kernel from now on, whoever makes it.
    package func traceLoads() throws(GuestError) {
        try expect(
            """
            mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
            cd /sys/kernel/tracing && echo >trace
            for call in enter_kexec_load exit_kexec_load enter_kexec_file_load exit_kexec_file_load
            do echo 1 >events/syscalls/sys_$call/enable
            done
            echo 1 >tracing_on
            """)
    }

    /// How many of them there have been; with a `call`, only of that one.
    package func loads(by call: String = "kexec") throws(GuestError) -> Int {
        // A call's beginning has its arguments, its end has not.
        let lines = try expect("grep -c 'sys_\(call)[a-z_]*(' /sys/kernel/tracing/trace || true")
        guard let count = Int(lines) else { throw .garbled("trace: \(lines)") }
        return count
    }
}
