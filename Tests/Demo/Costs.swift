// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// Measures what having the daemon costs: its size, its start, its memory, and what looking costs:
/// one audit, with and without the digest.
///
/// The figures are those of emulation and good for comparing with each other only.
enum Costs {
    /// Prints a table: one line for each size of the initrd, of reserved memory and of RAM.
    static func measure(_ image: GuestImage) throws {
        print("the program      \(try bytes(Machine.payload + "/usr/sbin/kdump-hotplugd")) bytes")
        for package in try FileManager.default.contentsOfDirectory(atPath: Machine.packages)
        where package.hasSuffix(".deb") {
            print("the package      \(try bytes(Machine.packages + "/" + package)) bytes")
        }
        print("audit            reserved  initrd    RAM      bytes read   microseconds")
        for reserve in [192, 512] {
            for initrd in [15, 60, 120] {
                try measure(image, reserve: reserve, initrd: initrd, dimm: 0)
            }
        }
        try measure(image, reserve: 192, initrd: 15, dimm: 8_192)
    }

    private static func measure(
        _ image: GuestImage, reserve: Int, initrd: Int, dimm: Int
    ) throws {
        var settings = MachineSettings(.v6_1, payload: Machine.payload)
        settings.memory = 2_048
        settings.crashkernel = "\(reserve)M"
        let guest = try Machine.boot(settings, image)
        try guest.installDaemon()
        if dimm > 0 { try guest.hotAdd(megabytes: dimm, id: "dimm") }
        // Random bytes behind the real one: an initrd may have anything there.
        try guest.expect(
            """
            (cat \(GuestImage.captureInitrd); head -c \(initrd)M /dev/urandom) >/srv/initrd
            kexec -s -p /boot/vmlinuz-$(uname -r) --initrd=/srv/initrd \
            --command-line='\(Machine.captureCommandLine)'
            """)
        try guest.configureDaemon(initrd: "/srv/initrd")
        try guest.startDaemon()
        let start = try guest.expect(
            """
            from=$(systemctl show -P ExecMainStartTimestampMonotonic kdump-hotplugd)
            echo $(($(systemctl show -P ActiveEnterTimestampMonotonic kdump-hotplugd) - from))
            """)
        let place = "\(reserve) MiB   \(initrd) MiB   \(2_048 + dimm) MiB"
        print("start to ready   \(place)   \(start) microseconds")
        let thorough = try guest.report().audit
        print("with digest      \(place)   \(text(thorough))")
        // A look that an event occasions is a cheap one, and the state file has its cost.
        try guest.expect("udevadm trigger --action=online /sys/devices/system/cpu/cpu1; sleep 4")
        let state = try guest.expect("cat /run/kdump-hotplugd/state.json")
        let cheap = state.split(separator: "\"audit\":").last?.prefix { $0 != "}" } ?? ""
        print("without digest   \(place)   \(cheap)}")
        let memory = "grep -E 'VmRSS|RssAnon|VmHWM' /proc/$(pidof kdump-hotplugd)/status"
        let lines = try guest.expect("\(memory) | tr -s '\\t ' ' ' | paste -sd ,")
        print("the daemon       \(place)   \(lines)")
    }

    private static func bytes(_ path: String) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    }

    private static func text(_ cost: CheckReport.Cost?) -> String {
        cost.map { "\($0.bytesRead)   \($0.microseconds)" } ?? "unknown"
    }
}
