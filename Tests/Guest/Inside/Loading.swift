// SPDX-License-Identifier: Apache-2.0

/// Whose way of loading a crash kernel is used.
package enum Loading: String, CaseIterable, Hashable, Sendable {
    case kernel = "kexec -s"
    case program = "kexec -c"
    case distribution = "kdump-config load"

    /// Loads the capture kernel of the tests; nothing may be loaded yet.
    package func load(_ guest: Machine) throws(GuestError) {
        switch self {
        case .kernel: try guest.loadCrashKernel(systemCall: "-s")
        case .program: try guest.loadCrashKernel(systemCall: "-c")
        case .distribution:
            try guest.loadCrashKernelByKdumpTools(adding: "acpi_no_memhotplug")
        }
    }
}
