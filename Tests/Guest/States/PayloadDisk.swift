// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The disk on which a guest sees what is under test.
///
/// It has one size whatever is on it, so that a guest that was saved without can be resumed with it:
/// it has looked at the size, and not yet at the content.
enum PayloadDisk {
    /// In MiB: the stripped daemon has 16, the packages of a release less.
    private static let size = 64

    /// Makes a read-only ext4 disk of a directory, or an empty one.
    static func make(of directory: String?, at path: String) throws(GuestError) {
        guard let directory else {
            guard FileManager.default.createFile(atPath: path, contents: nil),
                truncate(path, off_t(size) << 20) == 0
            else { throw .tool(path) }
            return
        }
        try run(
            "/usr/sbin/mke2fs",
            [
                "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "payload",
                "-d", directory, path, "\(size)M",
            ])
    }
}

extension Machine {
    /// Mounts the payload, also where the guest has looked at that disk when it was still empty.
    func mountPayload() throws(GuestError) {
        try expect(
            """
            mountpoint -q /payload ||
            { blockdev --flushbufs /dev/vdc && mount -o ro /dev/vdc /payload; }
            """)
    }
}
