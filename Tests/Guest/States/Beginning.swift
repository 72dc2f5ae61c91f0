// SPDX-License-Identifier: Apache-2.0

/// What has already happened to a guest when a test gets it.
///
/// Each comes from the one before, by ``Machine/advance(to:)``.
package enum Beginning: Hashable, Sendable, CustomStringConvertible {
    /// Booted, and quiet; nothing of ours is in it but the tests' shell.
    case booted
    /// The daemon of this build is installed and configured, and does not run.
    case installed
    /// Installed, and a crash kernel is loaded.
    case loaded(Loading)
    /// Loaded, and the daemon runs and has said that all is well.
    case watched(Loading)

    /// What must have happened before.
    var previous: Beginning? {
        switch self {
        case .booted: nil
        case .installed: .booted
        case .loaded: .installed
        case .watched(let loading): .loaded(loading)
        }
    }

    package var description: String {
        switch self {
        case .booted: "booted"
        case .installed: "installed"
        case .loaded(let loading): "loaded by \(loading.rawValue)"
        case .watched(let loading): "watched, loaded by \(loading.rawValue)"
        }
    }
}

extension Machine {
    /// Does what lies between the previous moment and this one.
    func advance(to beginning: Beginning) throws(GuestError) {
        switch beginning {
        case .booted:
            if settings.isWholeSystem {
                try waitUntil("grep -q 1 /sys/kernel/kexec_crash_loaded")
            } else {
                try waitUntil("systemctl is-system-running >/dev/null")
            }
            try expect("udevadm settle; journalctl --sync; sync")
        case .installed:
            // A program that wants random numbers before the kernel has any makes some by waiting
            // (drivers/char/random.c, `try_to_generate_entropy`). With a real-time priority it then stops
            // all else, for good; no machine is so young when memory is plugged.
            try expect("head -c 1 /dev/random >/dev/null")
            try installDaemon()
            try configureDaemon()
        case .loaded(let loading):
            try loading.load(self)
        case .watched:
            try startDaemon()
            try waitUntilOK()
        }
    }
}
