// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// A whole Debian with kdump-tools, as it is installed, on which an administrator installs one
    /// package and configures nothing; its own capture kernel writes the dump, libkdumpfile reads it.
    @Suite(.tags(.long)) struct DropInTests {
        /// What a Debian loses of a changed machine without the package.
        struct Debian: CustomTestStringConvertible, Sendable {
            let suite: String
            let kernel: Kernel
            /// How many of three CPUs a dump has: 6.12 lists a CPU that was added, and lists memory
            /// too; but its capture kernel takes that memory for its own.
            let dumpedProcessors: Int
            var testDescription: String { suite }

            static let debian12 = Debian(suite: "bookworm", kernel: .v6_1, dumpedProcessors: 2)
            static let debian13 = Debian(suite: "trixie", kernel: .v6_12, dumpedProcessors: 3)
            /// Both, or in an ordinary run the older: a dump on disk takes minutes, and the newer twice as
            /// many.
            static let chosen = Cell.isFull ? [debian12, debian13] : [debian12]
        }

        @Test(arguments: Debian.chosen)
        func `kdump-tools alone loses what is added`(debian: Debian) throws {
            let guest = try machine(debian)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.expect("udevadm settle")
            // Two memory blocks and a CPU that comes and goes online.
            #expect(try guest.failedRuleReloads() >= 3)
            let marks = try guest.mark(dimm, count: GuestTests.marked)
            let written = try crash(guest)
            let file = try #require(written.file)
            let dump = try DumpFile(file)
            #expect(dump.intact(of: marks) == 0)
            #expect(try dump.processors == debian.dumpedProcessors)
        }

        @Test(arguments: Debian.chosen)
        func `with the package the dump on disk has all of it`(debian: Debian) throws {
            let guest = try machine(debian)
            let failures = try guest.failedRuleReloads()
            try install(guest)
            let dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.hotAddCPU(socket: 2)
            try guest.waitUntilOK()
            #expect(try guest.failedRuleReloads() == failures)
            // The catalog came with the package.
            let explained = try guest.expect("journalctl -u kdump-hotplugd -x")
            #expect(explained.contains("Subject: kdump-hotplugd keeps"))
            if debian.suite == Debian.debian13.suite { try expectToBeAsked(guest) }
            let marks = try guest.mark(dimm, count: GuestTests.marked)
            let written = try crash(guest)
            #expect(written.messages.contains("sysrq: Trigger a crash"))
            let dump = try DumpFile(try #require(written.file))
            #expect(dump.intact(of: marks) == marks.pages.count)
            #expect(try dump.processors == 3)
        }

        /// systemd's own client of Varlink asks on the socket of systemd-report, which is off until it is
        /// wanted.
        private func expectToBeAsked(_ guest: Machine) throws {
            let socket = "/run/systemd/report/io.github.kdumpHotplugd"
            #expect(try guest.run("ls \(socket)").status != 0)
            try guest.expect("systemctl start kdump-hotplugd-report.socket")
            let list = try guest.expect(
                "varlinkctl --json=short --more call \(socket) io.systemd.Metrics.List {}")
            let lines = list.split(separator: "\n")
            #expect(lines.count > 20)
            for line in lines {
                #expect(line.contains(#""name":"io.github.kdumpHotplugd."#), "\(line)")
            }
            #expect(lines.contains { $0.contains("DumpComplete") && $0.contains(#""value":1"#) })
            let families = try guest.expect(
                "varlinkctl --more call \(socket) io.systemd.Metrics.Describe {}")
            #expect(families.contains("counter"))
            // systemd 257 does not know the type `any`, and shows the text as it is.
            let form = try guest.run("varlinkctl introspect \(socket) io.systemd.Metrics")
            #expect(form.output.contains("method Describe"))
            #expect(
                try guest.run("varlinkctl call \(socket) io.systemd.Metrics.Foo {}").status != 0)
        }

        @Test(arguments: Debian.chosen)
        func `a purge leaves everything as it was`(debian: Debian) throws {
            let guest = try machine(debian) { $0.sharesMemory = true }
            let before = try files(guest)
            let failures = try guest.failedRuleReloads()
            try install(guest)
            try guest.hotAdd(megabytes: 256, id: "dimm")
            try guest.waitUntilOK()
            #expect(try guest.expect("ls /run/udev/rules.d").contains("50-kdump-tools.rules"))
            #expect(try files(guest) != before)
            let image = try reserved(guest)
            try guest.expect("apt-get purge -qq kdump-hotplugd")
            #expect(try files(guest).symmetricDifference(before) == [])
            #expect(try guest.run("ls -d /run/kdump-hotplugd").status != 0)
            let isSameImage = try reserved(guest) == image
            #expect(isSameImage)
            #expect(try guest.expect("cat /sys/kernel/kexec_crash_loaded") == "1")
            #expect(try guest.failedRuleReloads() == failures)
            try guest.hotAddCPU(socket: 2)
            try guest.expect("udevadm settle")
            #expect(try guest.failedRuleReloads() > failures)
        }

        /// A Debian whose kdump-tools has loaded the crash kernel at boot.
        private func machine(
            _ debian: Debian, _ adjust: (inout MachineSettings) -> Void = { _ in }
        ) throws -> Machine {
            var settings = MachineSettings(debian.kernel, payload: Machine.packages)
            settings.isWholeSystem = true
            settings.crashkernel = "256M"
            adjust(&settings)
            let guest = try GuestTests.debian(debian.suite, settings)
            // Debian's own level 31 leaves out what belongs to processes, as the marked pages do; and its
            // zlib takes longer than LZO, which RHEL uses.
            try guest.expect("echo 'MAKEDUMP_ARGS=\"-l -d 23\"' >>/etc/default/kdump-tools")
            return guest
        }

        private func install(_ guest: Machine) throws {
            // Beside it there may be those of other architectures.
            try guest.expect(
                "apt-get install -qq /payload/kdump-hotplugd_*_$(dpkg --print-architecture).deb")
            #expect(try guest.expect("systemctl is-active kdump-hotplugd") == "active")
        }

        private func crash(_ guest: Machine) throws -> WrittenDump {
            let written = try guest.crashToDisk()
            let seconds = written.captureTime.inSeconds
            print("[guest] \(guest.settings.kernel): dump on disk in \(seconds) s")
            return written
        }

        /// Every file that belongs to the system's set-up, with its mode and where it points to.
        private func files(_ guest: Machine) throws -> Set<Substring> {
            let list = try guest.expect(
                """
                find /etc /usr /boot /opt /root /run/lock /run/systemd/system /run/udev/rules.d \
                /run/kdump-hotplugd /var/crash /var/lib/kdump /var/lib/systemd \
                -mindepth 1 -printf '%p %M %l\\n' 2>/dev/null || true
                """)
            return Set(list.split(separator: "\n"))
        }

        /// All of reserved memory.
        private func reserved(_ guest: Machine) throws -> [UInt8] {
            let range = try #require(try guest.reservedMemory().first)
            return try guest.memory(at: range.lowerBound, count: range.count)
        }
    }
}
