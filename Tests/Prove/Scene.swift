// SPDX-License-Identifier: Apache-2.0

import Guest

/// What happens to one machine before it crashes.
struct Scene {
    let name: String
    /// The same in words, for the record.
    let story: String
    /// Whether the daemon runs.
    let isWatched: Bool
    let change: Change
    /// Which pages makedumpfile leaves out (its option `-d`): 1 those of zeros, 31 also what is free, a
    /// cache or a process's own.
    let level: Int

    enum Change {
        /// A DIMM and a CPU come.
        case growth
        /// A DIMM that was there when the crash kernel was loaded goes.
        case removal
    }

    /// What the machine had.
    struct Facts: Encodable {
        let story: String
        let isWatched: Bool
        let level: Int
        let release: String
        /// How many CPUs are online.
        let processors: Int
        /// The number of the CPU that was added.
        let addedProcessor: Int?
        /// Where the DIMM is, or was, in physical memory.
        let dimm: [UInt64]
        /// Whether it is still there.
        let isThere: Bool
        /// Physical addresses of pages that name their own address and `nonce`; see Tests/MarkedPage.
        let marks: [UInt64]
        let nonce: UInt64
    }

    static let all = [
        Scene(
            name: "added", story: "A DIMM and a CPU were added; kdump-hotplugd patched the image.",
            isWatched: true, change: .growth, level: 1),
        Scene(
            name: "added-filtered",
            story: "The same, and makedumpfile filtered the dump by `-d 31 -l`, as on RHEL.",
            isWatched: true, change: .growth, level: 31),
        Scene(
            name: "removed", story: "A DIMM was removed; kdump-hotplugd patched the image.",
            isWatched: true, change: .removal, level: 1),
        Scene(
            name: "added-nobody",
            story: "The control: a DIMM and a CPU were added, without the daemon.",
            isWatched: false, change: .growth, level: 1),
        Scene(
            name: "removed-nobody", story: "The control: a DIMM was removed, without the daemon.",
            isWatched: false, change: .removal, level: 1),
    ]

    /// A whole Debian 12.
    static var settings: MachineSettings {
        var settings = MachineSettings(.v6_1, payload: Machine.packages)
        settings.isWholeSystem = true
        settings.crashkernel = "256M"
        return settings
    }

    /// How many marked pages a debugger is asked for.
    private static let asked = 8

    /// Plays it on a machine that has just booted, and returns what the machine has then.
    func play(on guest: Machine) throws -> Facts {
        var dimm: Range<UInt64> = 0..<0
        if change == .removal { dimm = try guest.hotAdd(megabytes: 256, id: "dimm") }
        try configure(guest)
        if isWatched {
            try guest.expect("apt-get install -qq /payload/kdump-hotplugd_*.deb")
            try guest.waitUntilOK()
        }
        var added: Int?
        switch change {
        case .growth:
            dimm = try guest.hotAdd(megabytes: 256, id: "dimm")
            added = try guest.hotAddCPU(socket: 2)
        case .removal:
            try guest.hotRemove("dimm")
        }
        if isWatched {
            try guest.waitUntilOK()
            guard try guest.expect("journalctl -F KDUMP_REFRESH") == "patch" else {
                throw GuestError.refused("\(name): the image was not patched")
            }
        }
        let isThere = change == .growth
        let marks = try guest.mark(isThere ? dimm : 0..<1 << 30, count: 4096)
        let pages = marks.pages.sorted()
        let step = max(1, pages.count / Self.asked)
        return Facts(
            story: story, isWatched: isWatched, level: level,
            release: try guest.expect("uname -r"),
            processors: Int(try guest.expect("nproc")) ?? 0, addedProcessor: added,
            dimm: [dimm.lowerBound, dimm.upperBound], isThere: isThere,
            marks: stride(from: 0, to: pages.count, by: step).map { pages[$0] },
            nonce: marks.nonce)
    }

    /// Has kdump-tools write what the scene wants, and load a capture kernel that lacks nothing: the
    /// daemon would reload it, and not patch it, to complete its command line.
    private func configure(_ guest: Machine) throws {
        try guest.expect(
            """
            echo 'MAKEDUMP_ARGS="-l -d \(level)"' >>/etc/default/kdump-tools
            sed -i 's/^#*\\(KDUMP_CMDLINE_APPEND="[^"]*\\)"/\\1 acpi_no_memhotplug"/' \
            /etc/default/kdump-tools && kdump-config reload
            """)
    }
}
