// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The lock that the distribution's own kdump tool holds while it loads or unloads, and the engine,
/// too.
///
/// The kernel admits one load at a time, but a tool that unloads, does something else and then
/// loads is not finished in between. It is a flock(2) lock, lasts as long as this object, and is
/// only ever tried: how long to wait is the engine's business.
package final class LoadLock {
    /// The result of trying to take it.
    enum Attempt {
        /// It is ours.
        case taken(LoadLock)
        /// There is no such lock on this machine, so nobody holds it.
        case absent
        /// Somebody else holds it.
        case held(Holder)
    }

    /// Who holds a lock.
    package struct Holder: Hashable {
        /// The lock's file.
        package let path: String
        /// The process that took it; `nil` if the kernel does not say.
        package let pid: Int32?
    }

    private let descriptor: CInt

    private init(_ descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Tries to take the lock of the kdump tool below `root`.
    ///
    /// The file is opened each time, because somebody may have replaced it. It is never created
    /// here: the service's sandbox does not allow that (see systemd/share-load-lock).
    ///
    /// The corresponding C functions are `open` and `flock`, with LOCK_EX and LOCK_NB.
    static func attempt(_ path: String, below root: SystemRoot) -> Attempt {
        let flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let descriptor = unsafe open(root.path(path), flags)
        guard descriptor >= 0 else { return .absent }
        let lock = LoadLock(descriptor)
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return .taken(lock) }
        // On a file system without locks nobody can hold one.
        guard errno == EWOULDBLOCK else { return .absent }
        return .held(Holder(path: path, pid: lock.holder(below: root)))
    }

    /// The process that took the lock, from the kernel's list of all locks.
    private func holder(below root: SystemRoot) -> Int32? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, let text = try? root.text(of: "/proc/locks")
        else { return nil }
        return LoadLock.holder(ofInode: UInt64(status.st_ino), in: text)
    }

    /// Finds who holds a flock(2) lock on a file in the text of `/proc/locks` (proc(5)).
    ///
    /// Only the inode is compared: on some file systems the device there differs from that of
    /// stat(2).
    static func holder(ofInode inode: UInt64, in text: String) -> Int32? {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            // A waiting process has "->" as the second word.
            guard words.count >= 6, words[1] == "FLOCK",
                words[5].split(separator: ":").last.flatMap({ UInt64($0) }) == inode
            else { continue }
            return Int32(words[4]).flatMap { $0 > 0 ? $0 : nil }
        }
        return nil
    }
}
