// SPDX-License-Identifier: Apache-2.0

import Guest

/// Who follows a storm of events, each set up as its authors meant it.
enum Way: String, CaseIterable {
    /// Nobody: what the events themselves cost.
    case nobody = "nobody"
    case ours = "kdump-hotplugd"
    /// The build of the daemon that KDUMP_HOTPLUGD_BEFORE names.
    case before = "kdump-hotplugd before"
    /// kdump-tools' own rule, with systemd-udevd allowed to load; as shipped it does nothing at all.
    case debian = "Debian's rule let through"
    /// A model of the chain that Fedora and RHEL document; see ReloadRules.swift.
    case fedora = "model of the RHEL chain"
    /// The kernel's own update of an image that its own loader loaded, since 6.6.
    case kernel = "the kernel by itself"

    /// How many seconds it may take after the last memory is online; then it is cut off.
    ///
    /// The chain of RHEL ends within that; Debian's rule, with two seconds or more for each of hundreds
    /// of events, would go on for half an hour.
    static let patience = 240

    /// Who there is to compare on a kernel.
    ///
    /// If the kernel updates an image itself, the rule of Fedora and RHEL does nothing.
    static func all(on kernel: Kernel) -> [Way] {
        [.nobody] + daemons
            + (kernel == .v6_1 ? [.fedora, .debian] : [.kernel, .debian])
    }

    /// The daemon, and if another build is to be compared, that too.
    static var daemons: [Way] { Versions.before == nil ? [.ours] : [.before, .ours] }
}

extension Machine {
    /// Makes `way` follow what happens from now on, and nobody else.
    func follow(_ way: Way) throws {
        if way != .debian { try maskDebiansRule() }
        switch way {
        case .nobody: break
        case .ours: try startDaemon()
        case .before: try startOtherDaemon()
        case .debian: try letDebiansRuleLoad()
        case .fedora: try installFedoraModel(initrd: Self.initrd)
        case .kernel: try kexec("-s")
        }
        try expect("udevadm settle; sleep 1")
    }
}
