// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// A machine where nobody configured the daemon: it reloads what kdump-tools is configured to load.
    @Suite struct DiscoveryTests {
        @Test(arguments: [true, false])
        func `on 6.1 the file of kdump-tools is all a reload needs`(daemon: Bool) throws {
            let guest = try guest(.v6_1, .loaded(.distribution))
            try guest.expect("echo KDUMP_HOTPLUGD_NO_PATCH=1 >/etc/default/kdump-hotplugd")
            let reload = try #require(try guest.report().reload)
            #expect(reload.kernel == "/var/lib/kdump/vmlinuz")
            #expect(reload.initrd == "/var/lib/kdump/initrd.img")
            #expect(reload.from == "/etc/default/kdump-tools" && reload.obstacle == nil)
            let resident = try #require(try guest.report().commandLine?.text)
            if daemon { try guest.startDaemon() }
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            if daemon {
                try guest.waitUntil("journalctl -u kdump-hotplugd | grep -q Reloaded")
                try guest.waitUntilOK()
                let line = try #require(try guest.report().commandLine?.text)
                #expect(words(line) == words(resident))
            }
            let marks = try guest.mark(dimm, count: marked)
            let dump = try crash(guest, looking: marks)
            #expect(dump.covers(dimm) == daemon)
            #expect(dump.marks.intact == (daemon ? marks.pages : []))
        }

        /// The words that an administrator put there, in their order; kexec-tools itself adds where
        /// ACPI's tables are.
        private func words(_ line: String) -> [Substring] {
            line.split(separator: " ").filter { word in
                !["elfcorehdr=", "acpi_rsdp="].contains { word.hasPrefix($0) }
            }
        }

        /// An image that a failed load lost comes back, although nobody knows its command line but
        /// the file; and what is switched off in the file is not loaded.
        @Test func `on 6.1 a lost image comes back as it is configured`() throws {
            let guest = try guest(.v6_1, .loaded(.distribution))
            try guest.expect(": >/etc/default/kdump-hotplugd")
            let resident = try #require(try guest.report().commandLine?.text)
            try guest.expect(
                """
                kdump-config unload
                mkdir -p /run/kdump-hotplugd
                printf '{"engine":{"expectsImage":true,"owesDigest":false}}' >/run/kdump-hotplugd/saved-state.json
                sed -i s/^USE_KDUMP=1/USE_KDUMP=0/ /etc/default/kdump-tools
                """)
            try guest.startDaemon()
            #expect(
                try guest.daemonStatus().hasSuffix(
                    "kdump is switched off: set USE_KDUMP in /etc/default/kdump-tools to 1"))
            #expect(try guest.check().status == 2)
            try guest.expect("sed -i s/^USE_KDUMP=0/USE_KDUMP=1/ /etc/default/kdump-tools")
            try guest.expect("systemctl reload kdump-hotplugd")
            try guest.waitUntilOK()
            let line = try #require(try guest.report().commandLine?.text)
            #expect(words(line) == words(resident))
            #expect(try crash(guest).processors == 2)
        }
    }
}
