// SPDX-License-Identifier: Apache-2.0

import Guest

/// How windows and looks grow with the initrd and with reserved memory.
///
/// How they grow with memory blocks, the storms show.
struct Growth {
    let image: GuestImage
    let windows: Table
    let looks: Table

    /// Enough to see a trend; the windows have the numbers to rely on.
    private static let rounds = 4

    static let columns = ["kernel", "reserved_mib", "initrd_mib", "look", "us", "bytes"]

    func measure(reserved: Int, initrd: Int) throws {
        let guest = try Machine.bench(.v6_1, image, initrd: initrd) {
            $0.crashkernel = "\(reserved)M"
        }
        let ways = Windows(
            guest: guest, rounds: Self.rounds, reserved: reserved, initrd: initrd, table: windows)
        try guest.startDaemon()
        for round in 1...Self.rounds {
            try ways.step("kexec -s -p", round) { try guest.kexec("-s") }
            try ways.step("kexec -c -p", round) { try guest.kexec("-c") }
            try ways.step("patch of a kexec_load image", round) {
                if round % 2 == 1 {
                    try guest.hotAdd(megabytes: 256, id: "dimm")
                } else {
                    try guest.hotRemove("dimm")
                }
                try guest.waitForLoad()
            }
        }
        try look(guest, reserved, initrd)
    }

    private func look(_ guest: Machine, _ reserved: Int, _ initrd: Int) throws {
        func add(_ look: String, _ microseconds: Int, _ bytes: Int?) {
            looks.add([
                "\(guest.settings.kernel)", "\(reserved)", "\(initrd)", look, "\(microseconds)",
                bytes.map { "\($0)" } ?? "",
            ])
        }
        if let thorough = try guest.report().audit {
            add("audit with digest", thorough.microseconds, thorough.bytesRead)
        }
        let wall = try guest.number(
            """
            (TIMEFORMAT=%3R; time kdump-hotplugd --check >/dev/null) 2>&1 |
            awk '{ printf "%d", $1 * 1000000 }'
            """)
        add("--check from start to end", wall, nil)
        // An event occasions a cheap look, and the state file has its cost.
        try guest.expect("udevadm trigger --action=online /sys/devices/system/cpu/cpu1; sleep 4")
        let state = try guest.expect("cat /run/kdump-hotplugd/state.json")
        let cheap = state.split(separator: "\"audit\":").last?.prefix { $0 != "}" } ?? ""
        let numbers = cheap.split { !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count == 2 else { throw GuestError.garbled(state) }
        add("audit without digest", numbers[1], numbers[0])
    }
}
