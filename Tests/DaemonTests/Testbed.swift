// SPDX-License-Identifier: Apache-2.0

import CUmockdev
import Glibc
import Testing

/// A machine made up: devices in a /sys of its own, and events that only this process sees.
///
/// It takes the place of the real machine for as long as it lives, and it works only with
/// libumockdev preloaded, that is under `umockdev-wrapper`.
final class Testbed {
    private let testbed: UnsafeMutablePointer<UMockdevTestbed>

    /// Creates an empty machine; without `umockdev-wrapper` the test fails, since events would
    /// be looked for on the real one.
    init() throws {
        let preloaded = getenv("LD_PRELOAD").map { String(cString: $0) } ?? ""
        try #require(
            preloaded.contains("libumockdev"), "run the tests as umockdev-wrapper swift test")
        testbed = try #require(umockdev_testbed_new())
    }

    deinit {
        g_object_unref(UnsafeMutableRawPointer(testbed))
    }

    /// Adds a device, of which udev says `add`, and returns its path.
    ///
    /// The corresponding C function is `umockdev_testbed_add_devicev`.
    func add(_ subsystem: String, _ name: String) throws -> String {
        var attributes: UnsafeMutablePointer<gchar>?
        var properties: UnsafeMutablePointer<gchar>?
        let path = try #require(
            umockdev_testbed_add_devicev(
                testbed, subsystem, name, nil, &attributes, &properties))
        defer { g_free(path) }
        return String(cString: path)
    }

    /// Lets udev say `action` of the device at `path`.
    ///
    /// The corresponding C function is `umockdev_testbed_uevent`.
    func say(_ action: String, of path: String) {
        umockdev_testbed_uevent(testbed, path, action)
    }
}
