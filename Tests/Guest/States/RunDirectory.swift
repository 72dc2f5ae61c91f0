// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// What all guests of one run share, and no other run: the payload's disks, and saved guests in which
/// this build of the daemon is.
///
/// It goes away with the process; what a killed one has left, the next run takes away.
enum RunDirectory {
    private static let prefix = "guest-run-"
    private static let disks = Mutex<[String: String]>([:])

    /// Where it is.
    static let path: Result<String, GuestError> = {
        removeAbandoned()
        let path = "/tmp/\(prefix)\(getpid())"
        atexit { try? FileManager.default.removeItem(atPath: "/tmp/guest-run-\(getpid())") }
        return Result { () throws(GuestError) in try MachineFiles.makeDirectory(path) }
    }()

    /// The disk of a payload, made once; of none it is empty.
    static func disk(of payload: String?) throws(GuestError) -> String {
        let path = try path.get()
        return try disks.withLock { (disks) throws(GuestError) in
            let source = payload ?? ""
            if let made = disks[source] { return made }
            let disk = "\(path)/payload-\(disks.count).ext4"
            try PayloadDisk.make(of: payload, at: disk)
            disks[source] = disk
            return disk
        }
    }

    private static func removeAbandoned() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
        for name in names where name.hasPrefix(prefix) {
            guard let process = pid_t(name.dropFirst(prefix.count)), kill(process, 0) != 0 else {
                continue
            }
            try? FileManager.default.removeItem(atPath: "/tmp/\(name)")
        }
    }
}
