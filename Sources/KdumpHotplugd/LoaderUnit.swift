// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// The unit that runs kexec(8) for a load which the kernel cannot make itself.
///
/// kexec(8) takes rights that the daemon does without: the addresses in `/proc/iomem` are shown to
/// CAP_SYS_ADMIN only. So it runs beside the daemon's sandbox and not in it, and systemd is asked to
/// start it. It loads the files that were checked, whatever their names lead to by now: it gets them by
/// the daemon's descriptors.
struct LoaderUnit {
    private static let name = "kdump-hotplugd-load.service"

    let state: StateDirectory
    let services: ServiceManager

    /// Has it load, and returns what went wrong; `nil` if nothing did.
    func run(_ load: ProgramLoad) -> SystemError? {
        do throws(SystemError) {
            // The file has a line for each.
            guard !load.commandLine.utf8.contains(UInt8(ascii: "\n")) else {
                throw SystemError("pass a command line of several lines on", errno: EINVAL)
            }
            let lines = [
                LoaderUnit.path(load.kernel), load.initrd.map(LoaderUnit.path) ?? "",
                load.commandLine,
            ]
            try state.write(
                Array(lines.map { $0 + "\n" }.joined().utf8), as: StateDirectory.order, mode: 0o600)
            defer { state.remove(StateDirectory.order) }
            try services.run(LoaderUnit.name)
            return nil
        } catch {
            return error
        }
    }

    /// Where another process finds an open file of this one (proc(5)).
    private static func path(_ descriptor: CInt) -> String {
        "/proc/\(getpid())/fd/\(descriptor)"
    }
}
