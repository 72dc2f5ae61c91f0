// SPDX-License-Identifier: Apache-2.0

internal import CUdev
internal import Engine
internal import Glibc

/// The kernel's word that a CPU or a block of memory came or went.
///
/// A uevent is a hint to look, never a fact: it may come twice, late, or not at all. So nothing of
/// the device is read here, and the loss of events is itself a notice. What is there is found by
/// looking at the machine, elsewhere.
final class Uevents {
    /// Whose word is listened to.
    enum Group: String {
        /// The kernel's own, at once. The daemon listens to this: in a storm udevd is seconds behind,
        /// and a private network namespace has it too. What a rule does with a device (such as
        /// setting new memory online) the kernel says as another event.
        case kernel
        /// That of udevd, when its rules have run.
        case udev
    }

    /// The kinds of device that are watched; the words are the kernel's.
    enum Subsystem: String, CaseIterable {
        case cpu, memory
    }

    /// What may happen to a device that changes what a dump must hold; the words are the kernel's.
    enum Action: String, CaseIterable {
        case add, remove, online, offline
    }

    /// What the daemon is told.
    enum Notice: Equatable {
        /// A CPU or a memory block, by its name such as `cpu3` or `memory40`, came or went.
        case changed(Subsystem, name: String, Action)
        /// The kernel had to drop events, or one could not be read: anything may have changed.
        case lost
    }

    /// How much the kernel may keep for a daemon that is busy, in bytes.
    ///
    /// A busy daemon is one that loads a crash kernel, for seconds; a big machine makes tens of
    /// thousands of events of 1 or 2 KiB in that time when its memory is plugged. udevd takes the
    /// same amount. It is a limit, not an allocation.
    static let ampleBuffer: CInt = 128 << 20

    /// Kept because the monitor points to it without holding a reference.
    private let udev: Udev
    private let monitor: UdevMonitor

    /// Starts to listen.
    ///
    /// Events of other subsystems are filtered out in the kernel (of group ``Group/kernel`` in
    /// libudev), so that a storm of, say, block devices neither wakes the daemon nor fills its
    /// buffer.
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
        // More than the system's limit needs CAP_NET_ADMIN. Without it the limit itself is had,
        // and an overflow is noticed as any other: so a failure changes nothing.
        _ = monitor.setReceiveBufferSize(buffer)
        try Uevents.check("listen to uevents", monitor.enableReceiving())
    }

    /// The descriptor that is readable when there is something to ``drain(_:)``.
    ///
    /// The corresponding C function is `udev_monitor_get_fd`.
    var fd: CInt { monitor.fd }

    /// Reads everything that has come, and tells what of it matters.
    ///
    /// After a loss it reads on to the end. That is what makes ``Notice/lost`` enough: the kernel
    /// reports a second loss only when its queue has been empty in between, so every event it
    /// dropped in silence is older than this call's return, and a look after that sees its effect.
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
                // A malformed message, or no memory for it. The loop calls again if more is there.
                body(.lost)
                return
            }
        }
    }

    /// Turns a negated error number, libudev's way to report a failure, into an error.
    private static func check(_ operation: String, _ result: CInt) throws(SystemError) {
        guard result >= 0 else { throw SystemError(operation, errno: -result) }
    }
}

extension Uevents.Notice {
    /// Makes a notice of what udev says about a device, or nil where it is no matter for a dump.
    ///
    /// A name must be the subsystem's and a number: `cpu` and `memory` also hold devices such as
    /// `cpufreq`, which are not CPUs.
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

    /// Makes a notice of a received device, or nil where it is no matter for a dump.
    ///
    /// The corresponding C functions are `udev_device_get_subsystem`, `udev_device_get_sysname`
    /// and `udev_device_get_action`.
    fileprivate init?(_ device: UdevDevice) {
        // The strings are the device's own: it must outlive their copying.
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
