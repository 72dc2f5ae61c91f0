// SPDX-License-Identifier: Apache-2.0

internal import Engine
internal import Glibc

/// `/run/kdump-hotplugd`: what the daemon leaves for unprivileged readers and for its next start.
///
/// `state.json` is the last report without physical addresses, for everyone; `metrics.prom` is the
/// same as numbers. `history.json` is what has happened. `saved-state.json` is
/// the state of the engine, for root; `/run` lasts until the next boot, as the loaded image does.
/// `crashes.json` is there as long as a daemon has not been told to stop, `load-under-way` from a
/// patch until the state of the engine is written again, `reload-under-way` during a reload. `load-order`
/// is for the program that loads where the kernel cannot. The running daemon locks `lock`. This type reads
/// and writes; it decides nothing.
struct StateDirectory {
    private let path: String

    /// The directory below a root.
    init(below root: SystemRoot) { path = root.path("/run/kdump-hotplugd") }

    /// The file for the next daemon.
    static let savedState = "saved-state.json"
    /// The file that counts crashes, while a daemon runs and after it has crashed.
    static let crashes = "crashes.json"
    /// The file that says, without any contents, that an image must be there.
    ///
    /// Before a patch there is no time for more: to write all of the state would take longer than the
    /// patch itself.
    static let mark = "load-under-way"
    /// The file that says, without any contents, that no image is there because the daemon loads one.
    static let reload = "reload-under-way"
    /// The file that says what is to be loaded: see systemd/load-image.
    static let order = "load-order"
    /// The name that daemons up to November 2026 gave the saved state; an upgrade must not forget what
    /// they knew.
    private static let formerSavedState = "memory.json"

    /// Reads what the last daemon left for its next start; `nil` if there is nothing usable.
    func remembered() -> Remembered? {
        (read(StateDirectory.savedState) ?? read(StateDirectory.formerSavedState))
            .flatMap { ReportJSON.value(Remembered.self, from: $0) }
    }

    /// Whether the daemon is in a reload, if it runs.
    var hasReloadUnderWay: Bool { read(StateDirectory.reload) != nil }

    /// What the last daemon knew of the image; whatever else is left, a mark says that there was one.
    func engineState() -> Engine.SavedState {
        var saved = remembered()?.engine ?? Engine.SavedState()
        if read(StateDirectory.mark) != nil { saved.expectsImage = true }
        return saved
    }

    /// Reads a file, or returns `nil` if there is none that can be read.
    func read(_ name: String) -> [UInt8]? {
        try? SystemRoot(path).bytes(of: "/" + name)
    }

    /// Makes an empty file for root.
    ///
    /// The corresponding C functions are `open` and `close`.
    /// - Throws: A `SystemError` if it cannot be made.
    func make(_ name: String) throws(SystemError) {
        let descriptor = unsafe open("\(path)/\(name)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemError("open \(path)/\(name)", errno: errno) }
        close(descriptor)
    }

    /// Removes a file, if it is there.
    ///
    /// The corresponding C function is `unlink`.
    func remove(_ name: String) { unsafe unlink("\(path)/\(name)") }

    /// Writes a file so that a reader sees either the old or the new contents.
    ///
    /// If there is no room for both, the old contents are removed first. If the new ones cannot be
    /// written even so, nothing is left: the old ones are no longer true. Those that `stayTrue` are kept
    /// instead.
    ///
    /// The corresponding C function is `unlink`.
    /// - Throws: A `SystemError` of the call that failed.
    func write(
        _ bytes: [UInt8], as name: String, mode: mode_t, stayTrue: Bool = false
    ) throws(SystemError) {
        let place = "\(path)/\(name)"
        // Not just a dot before the name: node_exporter reads whatever ends in .prom.
        let draft = "\(path)/.\(name).new"
        do throws(SystemError) {
            try replace(place, with: bytes, by: draft, mode: mode)
        } catch {
            unsafe unlink(draft)
            if stayTrue { throw error }
            unsafe unlink(place)
            do throws(SystemError) {
                try replace(place, with: bytes, by: draft, mode: mode)
            } catch {
                unsafe unlink(draft)
                throw error
            }
        }
    }

    /// Writes a draft and renames it.
    ///
    /// The corresponding C functions are `open`, `write`, `fchmod` and `rename`.
    /// - Throws: A `SystemError` of the call that failed.
    private func replace(
        _ place: String, with bytes: [UInt8], by draft: String, mode: mode_t
    ) throws(SystemError) {
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

    /// Creates the directory if necessary and takes the daemon's lock for the life of this process;
    /// returns whether the lock was free.
    ///
    /// The corresponding C functions are `mkdir` and `fcntl`, with F_SETLK.
    /// - Throws: A `SystemError` if the directory or the lock file cannot be created.
    func lock() throws(SystemError) -> Bool {
        if unsafe mkdir(path, 0o755) != 0 && errno != EEXIST {
            throw SystemError("mkdir \(path)", errno: errno)
        }
        let place = "\(path)/lock"
        // Never closed: the lock ends with the process.
        let descriptor = unsafe open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemError("open \(place)", errno: errno) }
        // Whatever the umask: everyone may ask who holds it.
        fchmod(descriptor, 0o644)
        var whole = StateDirectory.wholeFile(F_WRLCK)
        return unsafe fcntl(descriptor, F_SETLK, &whole) == 0
    }

    /// The process id of the running daemon, or `nil` if none is running.
    ///
    /// It asks for the holder of the lock and does not take it, so it cannot keep a daemon from
    /// starting.
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
    /// For how many seconds it is valid; missing in files of older versions.
    var lifetime: Int?
    /// What it says.
    let report: Report
    /// What the daemon had counted until then; missing in files of older versions.
    var tally: Tally?
}
