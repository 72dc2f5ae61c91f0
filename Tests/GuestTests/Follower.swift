// SPDX-License-Identifier: Apache-2.0

import Guest

/// Who follows a storm in which a machine crashes; see ChaosTests.swift.
enum Follower: String {
    case daemon = "kdump-hotplugd"
    case nobody = "nobody"
    /// As shipped, it does nothing at all.
    case debian = "Debian's rule let through"
    /// Does nothing where the kernel updates the image itself.
    case fedora = "model of the RHEL chain"
    /// Since 6.6, of an image that its own loader loaded.
    case kernel = "the kernel by itself"

    /// With whom the daemon is compared on a kernel.
    static func peers(on kernel: Kernel) -> [Follower] {
        [.nobody, .debian, kernel == .v6_1 ? .fedora : .kernel]
    }

    /// Who must have loaded the image that it follows with; `nil` if anybody may.
    var loading: Loading? {
        switch self {
        case .daemon, .nobody: nil
        case .debian: .distribution
        case .fedora, .kernel: .kernel
        }
    }

    /// What must have happened to its guest.
    func beginning(_ loading: Loading) -> Beginning {
        self == .daemon ? .watched(loading) : .loaded(loading)
    }

    /// Makes it follow what happens from now on.
    func begin(on guest: Machine) throws(GuestError) {
        switch self {
        case .daemon: break
        case .nobody, .kernel: try guest.maskDebiansRule()
        case .debian: try guest.letDebiansRuleLoad()
        case .fedora:
            try guest.maskDebiansRule()
            try guest.installFedoraModel(initrd: GuestImage.captureInitrd)
        }
    }
}
