// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// `/run/kdump-hotplugd`: what the daemon tells unprivileged readers and its own next life.
///
/// `state.json` is the last report without physical addresses, for everyone. `saved-state.json` is what
/// the engine remembers, for root: `/run` ends with the boot, as the loaded image does. `lock` is
/// locked by the daemon that runs. It writes bytes and judges none.
struct StateDirectory {
    private let path: String

    /// Where the state lies below a root.
    init(below root: SystemRoot) { path = root.path("/run/kdump-hotplugd") }

    /// Reads a file, or returns `nil` where there is none that can be read.
    func read(_ name: String) -> [UInt8]? {
        try? SystemRoot(path).bytes(of: "/" + name)
    }

    /// Writes a file so that a reader sees the old or the new one and never a part.
    ///
    /// The corresponding C functions are `open`, `write`, `fchmod` and `rename`.
    /// - Throws: A `SystemError` of the call that failed.
    func write(_ bytes: [UInt8], as name: String, mode: mode_t) throws(SystemError) {
        let place = "\(path)/\(name)"
        let draft = "\(path)/.\(name)"
        let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("open \(draft)", errno: errno) }
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { rest in
                unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("write \(draft)", errno: errno) }
            rest = rest.dropFirst(count)
        }
        // The file system is a RAM disk, so there is nothing to fsync.
        guard fchmod(descriptor, mode) == 0, unsafe rename(draft, place) == 0 else {
            throw SystemError("rename \(draft)", errno: errno)
        }
    }

    /// Makes the directory if it is missing, and takes the lock of the running daemon for as long as
    /// this process lives; returns whether it could.
    ///
    /// The corresponding C functions are `mkdir` and `fcntl`, with F_SETLK.
    /// - Throws: A `SystemError` where the directory or the lock file cannot be made.
    func lock() throws(SystemError) -> Bool {
        if unsafe mkdir(path, 0o755) != 0 && errno != EEXIST {
            throw SystemError("mkdir \(path)", errno: errno)
        }
        let place = "\(path)/lock"
        // Never closed: the lock goes with the process.
        let descriptor = unsafe open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemError("open \(place)", errno: errno) }
        // For everyone who asks who holds it, whatever the umask.
        fchmod(descriptor, 0o644)
        var whole = StateDirectory.wholeFile(F_WRLCK)
        return unsafe fcntl(descriptor, F_SETLK, &whole) == 0
    }

    /// The process id of the daemon that runs, or `nil` where none does.
    ///
    /// It asks who holds the lock and takes none, so it cannot keep a daemon from starting.
    ///
    /// The corresponding C function is `fcntl`, with F_GETLK.
    func runningDaemon() -> Int32? {
        let descriptor = unsafe open("\(path)/lock", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var whole = StateDirectory.wholeFile(F_RDLCK)
        guard unsafe fcntl(descriptor, F_GETLK, &whole) == 0, whole.l_type != F_UNLCK else {
            return nil
        }
        return whole.l_pid
    }

    private static func wholeFile(_ type: CInt) -> flock {
        flock(l_type: Int16(type), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
    }
}

/// The last report, and when it was made.
struct State: Codable, Equatable {
    /// When, in seconds since 1970.
    let time: Int
    /// What was found.
    let report: Report
}

/// What the daemon needs to know in its next life.
struct Remembered: Codable, Equatable {
    /// What the engine remembers.
    let engine: Engine.SavedState
    /// What a reload loads, so that `--check` can say whether it could.
    let source: ImageSource?
    /// Whether it patches; not in what older versions left.
    let patches: Bool?
    /// The last refresh.
    let lastRefresh: Report.LastRefresh?
}
