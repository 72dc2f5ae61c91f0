// SPDX-License-Identifier: Apache-2.0

/// Whose way of loading a crash kernel is used.
package enum Loading: String, Hashable, Sendable {
    case kernel = "kexec -s"
    case program = "kexec -c"
    case distribution = "kdump-config load"
    /// By a kexec-tools that leaves it to the kernel to keep the image up, where it does; on POWER only.
    case programForKernel = "kexec -c --hotplug"

    /// Those that are tried on a PC.
    package static let onPC: [Loading] = [.kernel, .program, .distribution]

    /// Loads the capture kernel of the tests; nothing may be loaded yet.
    package func load(_ guest: Machine) throws(GuestError) {
        switch self {
        case .kernel: try guest.loadCrashKernel(systemCall: "-s")
        case .program: try guest.loadCrashKernel(systemCall: "-c")
        case .programForKernel:
            try guest.loadCrashKernel(
                systemCall: "-c --hotplug", program: "/opt/kexec-tools/kexec")
        case .distribution:
            try guest.loadCrashKernelByKdumpTools(
                adding: guest.settings.kernel.platform.machine.captureNeeds)
        }
    }
}
