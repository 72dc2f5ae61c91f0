// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Making the daemon's loads fail after the kernel has dropped the image in place, or its last.
///
/// No setting does that to a right program; so its system call is spoilt on the way to the kernel by
/// a library (image/spoil.c) that the daemon is started with.
extension Machine {
    /// Spoils the first `count` calls of kexec_load of every daemon that is started from now on.
    package func spoilLoads(_ count: Int) throws(GuestError) {
        try preloadSpoiler("SPOIL=\(count)")
    }

    /// Lets the daemon's disk become slow, so that a reload is being prepared until ``endReading()``,
    /// or its loads; to be called before the daemon is started.
    package func prepareSlowness() throws(GuestError) {
        try preloadSpoiler("")
    }

    /// Makes each of the daemon's loads from files take so many seconds more.
    package func slowLoads(bySeconds seconds: Int) throws(GuestError) {
        try expect("echo \(seconds) >/run/slow-load")
    }

    /// Makes the disk slow, lets `change` happen, and returns when the daemon prepares a reload.
    package func untilReading(after change: () throws -> Void) throws {
        try expect("touch /run/slow-disk")
        try change()
        try waitUntil("[ -e /run/kdump-hotplugd/reading ]")
    }

    /// Makes the disk quick again.
    package func endReading() throws(GuestError) {
        try expect("rm /run/slow-disk")
    }

    /// Has every daemon that is started from now on do so with the library, and with `settings` in
    /// its environment.
    func preloadSpoiler(_ settings: String) throws(GuestError) {
        let library = try spoiler().base64EncodedString(
            options: [.lineLength76Characters, .endLineWithLineFeed])
        try expect("base64 -d >/usr/lib/spoil.so <<END\n\(library)\nEND")
        try expect(
            """
            mkdir -p /run/systemd/system/kdump-hotplugd.service.d
            printf '[Service]\\nEnvironment=LD_PRELOAD=/usr/lib/spoil.so \(settings)\\n' \
            >/run/systemd/system/kdump-hotplugd.service.d/spoil.conf
            systemctl daemon-reload
            """)
    }

    private func spoiler() throws(GuestError) -> Data {
        let library = files.directory + "/spoil.so"
        try Self.compile("spoil.c", to: library)
        guard let bytes = FileManager.default.contents(atPath: library) else {
            throw .tool("cc made no \(library)")
        }
        return bytes
    }

    /// Compiles a source beside the images' into a library that can be preloaded.
    static func compile(_ name: String, to library: String) throws(GuestError) {
        let source = Repository.path("Tests/Guest/image/\(name)")
        try Guest.run(
            "/usr/bin/cc",
            ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-s", "-o", library, source])
    }
}
