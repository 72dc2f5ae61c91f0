// SPDX-License-Identifier: Apache-2.0

internal import CUdev
internal import Engine
internal import Glibc

/// The kernel's uevents about CPUs and memory blocks.
///
/// A uevent is only a hint to look: it may come twice, late or not at all. So nothing of the device
/// is read here, and the loss of events is a notice too.
final class Uevents {
    /// Whose events to listen to.
    enum Group: String {
        /// The kernel's own, without delay. The daemon listens to these: in a storm udevd is
        /// seconds behind, and they reach a private network namespace too. When a rule changes a
        /// device (for example sets new memory online), the kernel sends another event.
        case kernel
        /// Those of udevd, after its rules have run.
        case udev
    }

    /// The subsystems that are watched, by their names in the kernel.
    enum Subsystem: String, CaseIterable {
        case cpu, memory
    }

    /// The actions that change what a dump must hold, by their names in the kernel.
    enum Action: String, CaseIterable {
        case add, remove, online, offline
    }

    /// What the daemon is notified of.
    enum Notice: Equatable {
        /// A CPU or a memory block was changed; its name is one like `cpu3` or `memory40`.
        case changed(Subsystem, name: String, Action)
        /// The kernel dropped events, or one could not be read: anything may have changed.
        case lost
    }

    /// How much the kernel may queue while the daemon is busy, in bytes.
    ///
    /// A load keeps the daemon busy for seconds. A big machine sends tens of thousands of events of
    /// 1 or 2 KiB in that time when its memory is plugged. udevd uses the same size. It is a limit,
    /// not an allocation.
    static let ampleBuffer: CInt = 128 << 20

    /// Kept because the monitor points to it without a reference.
    private let udev: Udev
    private let monitor: UdevMonitor

    /// Starts to listen.
    ///
    /// The kernel filters out events of other subsystems (for group ``Group/kernel``, libudev
    /// does), so that a storm of, say, block devices neither wakes the daemon nor fills its buffer.
    ///
    /// The corresponding C functions are `udev_monitor_new_from_netlink`,
    /// `udev_monitor_filter_add_match_subsystem_devtype`, `udev_monitor_set_receive_buffer_size`
    /// and `udev_monitor_enable_receiving`.
    init(group: Group = .kernel, buffer: CInt = ampleBuffer) throws(SystemError) {
        guard let udev = Udev() else { throw SystemError("open libudev", errno: errno) }
        guard let monitor = unsafe UdevMonitor(udev, group: group.rawValue) else {
            throw SystemError("open a uevent socket", errno: errno)
        }
        self.udev = udev
        self.monitor = monitor
        for subsystem in Subsystem.allCases {
            let name = subsystem.rawValue
            try Uevents.check(
                "watch \(name) events", unsafe monitor.addFilter(subsystem: name, deviceType: nil))
        }
        // More than the system's limit (net.core.rmem_max) needs CAP_NET_ADMIN, which the unit does not
        // give. The limit applies then, and an overflow is noticed, so a failure does not matter.
        _ = monitor.setReceiveBufferSize(buffer)
        try Uevents.check("listen to uevents", monitor.enableReceiving())
    }

    /// The descriptor that is readable when there is something to ``drain(_:)``.
    ///
    /// The corresponding C function is `udev_monitor_get_fd`.
    var fd: CInt { monitor.fd }

    /// Reads all events that have come, and calls `body` for those that matter.
    ///
    /// After a loss it reads on to the end, so that ``Notice/lost`` is enough: the kernel reports a
    /// second loss only after its queue has been empty. Every event that it dropped silently is
    /// therefore older than the return of this call, and a look after that sees its effect.
    ///
    /// The corresponding C function is `udev_monitor_receive_device`.
    func drain(_ body: (Notice) -> Void) {
        while true {
            if let device = monitor.receiveDevice() {
                if let notice = Notice(device) { body(notice) }
                continue
            }
            let reason = errno
            switch reason {
            case EAGAIN: return
            case EINTR: continue
            case ENOBUFS: body(.lost)
            default:
                // A malformed message, or no memory for it. The loop calls again if there is more.
                body(.lost)
                return
            }
        }
    }

    /// Throws an error for a negative result, which is libudev's negated error number.
    private static func check(_ operation: String, _ result: CInt) throws(SystemError) {
        guard result >= 0 else { throw SystemError(operation, errno: -result) }
    }
}

extension Uevents.Notice {
    /// Creates a notice from what udev says about a device, or returns `nil` if it does not matter
    /// to a dump.
    ///
    /// The name must be the subsystem's name and a number: `cpu` and `memory` also have devices
    /// such as `cpufreq`, which are not CPUs.
    init?(subsystem: String, name: String, action: String) {
        guard let subsystem = Uevents.Subsystem(rawValue: subsystem),
            let action = Uevents.Action(rawValue: action),
            name.hasPrefix(subsystem.rawValue)
        else { return nil }
        let number = name.utf8.dropFirst(subsystem.rawValue.utf8.count)
        guard !number.isEmpty, number.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        self = .changed(subsystem, name: name, action)
    }

    /// Creates a notice from a received device, or returns `nil` if it does not matter to a dump.
    ///
    /// The corresponding C functions are `udev_device_get_subsystem`, `udev_device_get_sysname`
    /// and `udev_device_get_action`.
    fileprivate init?(_ device: UdevDevice) {
        // The strings belong to the device: it must outlive their copies.
        let words = withExtendedLifetime(device) { () -> (String, String, String)? in
            guard let subsystem = unsafe device.subsystem, let name = unsafe device.name,
                let action = unsafe device.action
            else { return nil }
            return unsafe (
                String(cString: subsystem), String(cString: name), String(cString: action)
            )
        }
        guard let (subsystem, name, action) = words else { return nil }
        self.init(subsystem: subsystem, name: name, action: action)
    }
}
