// SPDX-License-Identifier: Apache-2.0

internal import CSystemd
internal import Engine
internal import Glibc

/// A connection to systemd itself, over which units are started.
///
/// It is the one that systemctl(1) uses for root, and needs no system bus. Which unit is to be started,
/// and why, is for others to know.
@safe final class SystemdConnection {
    private var bus: OpaquePointer?

    private static let name = "org.freedesktop.systemd1"
    private static let manager = "/org/freedesktop/systemd1"

    /// A quarter of a minute, in microseconds: systemd answers at once unless it is itself in trouble.
    private static let patience: UInt64 = 15_000_000

    /// Connects.
    ///
    /// The corresponding C functions are `sd_bus_new`, `sd_bus_set_address` and `sd_bus_start`.
    /// - Throws: A `SystemError` where systemd cannot be reached.
    init() throws(SystemError) {
        let operation = "connect to systemd"
        try check(operation, unsafe sd_bus_new(&bus))
        try check(operation, unsafe sd_bus_set_address(bus, "unix:path=/run/systemd/private"))
        try check(operation, unsafe sd_bus_start(bus))
    }

    deinit { unsafe sd_bus_flush_close_unref(bus) }

    /// What a unit can be told to do, as a sentence about a failure has it.
    enum Order: String {
        case start
        case restart

        fileprivate var method: String { self == .start ? "StartUnit" : "RestartUnit" }
    }

    /// Has a unit started or restarted, and returns the job that does it.
    ///
    /// - Throws: A `SystemError` where systemd refuses, as for an unknown unit.
    func give(_ order: Order, to unit: String) throws(SystemError) -> String {
        try path("\(order.rawValue) \(unit)", order.method, unit, "replace")
    }

    /// Whether a job is still to be done.
    func isPending(_ job: String) -> Bool {
        property("State", of: job, as: "Job") != nil
    }

    /// Whether a unit has failed.
    ///
    /// - Throws: A `SystemError` where systemd does not know the unit.
    func hasFailed(_ unit: String) throws(SystemError) -> Bool {
        let path = try path("find \(unit)", "LoadUnit", unit)
        return property("ActiveState", of: path, as: "Unit") == "failed"
    }

    /// Calls a method of the manager that returns the path of an object.
    ///
    /// The corresponding C functions are `sd_bus_message_new_method_call`, `sd_bus_call` and
    /// `sd_bus_message_read_basic`.
    private func path(
        _ operation: String, _ method: String, _ arguments: String...
    ) throws(SystemError) -> String {
        var (call, answer): (OpaquePointer?, OpaquePointer?)
        defer {
            unsafe sd_bus_message_unref(call)
            unsafe sd_bus_message_unref(answer)
        }
        let (name, manager) = (SystemdConnection.name, SystemdConnection.manager)
        try check(
            operation,
            unsafe sd_bus_message_new_method_call(
                bus, &call, name, manager, "\(name).Manager", method))
        for argument in arguments {
            try check(
                operation,
                unsafe sd_bus_message_append_basic(call, CChar(UInt8(ascii: "s")), argument))
        }
        try check(
            operation, unsafe sd_bus_call(bus, call, SystemdConnection.patience, nil, &answer))
        var path: UnsafePointer<CChar>?
        try check(
            operation,
            unsafe sd_bus_message_read_basic(answer, CChar(UInt8(ascii: "o")), &path))
        return unsafe path.map { unsafe String(cString: $0) } ?? ""
    }

    /// Asks for a property of an object; `nil` if there is no such object.
    ///
    /// The corresponding C function is `sd_bus_get_property_string`.
    private func property(_ property: String, of path: String, as kind: String) -> String? {
        let name = SystemdConnection.name
        var text: UnsafeMutablePointer<CChar>?
        let result = unsafe sd_bus_get_property_string(
            bus, name, path, "\(name).\(kind)", property, nil, &text)
        guard result >= 0, let text = unsafe text else { return nil }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    private func check(_ operation: String, _ result: CInt) throws(SystemError) {
        if result < 0 { throw SystemError(operation, errno: -result) }
    }
}
