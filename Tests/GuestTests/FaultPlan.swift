// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One system call of the daemon that goes wrong, while it follows a hotplug.
struct Fault: Hashable, CustomStringConvertible {
    /// The name of the call.
    let call: String
    /// The file that it works on; empty if it works on none.
    let path: String
    /// Which of the daemon's calls of that name on that file, counted from 1 at the hotplug; on no file,
    /// which of all calls of that name.
    let number: Int
    /// What goes wrong, in the words of strace(1)'s option `inject`.
    let effect: String
    /// What becomes of the daemon's directory in /run after the call, if that is what goes wrong.
    var spoils: SpoiltDirectory?

    /// What goes wrong, in words for a table.
    var kind: String {
        if let spoils { return spoils.rawValue }
        return switch effect {
        case "signal=KILL": "the daemon is killed"
        case "retval=0": "a read ends early"
        default: "a call fails"
        }
    }

    /// The file, with N for each number.
    var object: String { Self.withoutNumbers(path) }

    /// The same fault at another DIMM, whose block of memory has another number than the recorded one.
    ///
    /// `recorded` and `start` are the physical addresses at which the two blocks begin; on x86_64 a block
    /// of a small machine has 128 MiB (arch/x86/mm/init_64.c, `probe_memory_block_size`).
    func moved(from recorded: UInt64, to start: UInt64) -> Fault {
        let blocks = [recorded, start].map { "/memory\($0 >> 27)/" }
        return Fault(
            call: call, path: path.replacingOccurrences(of: blocks[0], with: blocks[1]),
            number: number, effect: effect, spoils: spoils)
    }

    /// How strace(1) is told of it.
    var options: String {
        let only = path.isEmpty ? "" : "-P \(path) "
        return "\(only)-e trace=\(call) -e inject=\(call):\(effect):when=\(number)"
    }

    fileprivate static func withoutNumbers(_ path: String) -> String {
        var result = ""
        for character in path {
            if !character.isNumber {
                result.append(character)
            } else if result.last != "N" {
                result.append("N")
            }
        }
        return result
    }

    /// What it is called, without the number of the call.
    var name: String { "\(call) \(object): \(spoils?.rawValue ?? effect)" }

    var description: String {
        "\(call) \(number)\(object.isEmpty ? "" : " \(object)"): \(spoils?.rawValue ?? effect)"
    }
}

/// All that can go wrong in one refresh, one at a time, from a recording of one in which nothing did;
/// pure.
struct FaultPlan {
    let faults: [Fault]
    /// The steps from which on the daemon's directory in /run can be written to no more.
    let spoilings: [Fault]
    /// Calls of which nobody has said how they can fail.
    let unknown: Set<String>

    /// How each call can fail, as its manual page says, and what can be expected of a machine in need.
    private static let errors: [String: [String]] = [
        "openat": ["ENOENT", "EACCES", "EMFILE", "ENFILE", "ENOMEM", "EINTR", "ELOOP", "EIO"],
        "read": ["EIO", "EINTR", "ENOMEM", "EFAULT"],
        "pread64": ["EIO", "EINTR", "ENOMEM", "EFAULT"],
        "readlink": ["ENOENT", "EACCES"], "readlinkat": ["ENOENT", "EACCES"],
        "getdents64": ["EIO", "ENOENT", "ENOMEM"],
        "lseek": ["EINVAL"], "fcntl": ["EBADF", "EAGAIN"], "dup": ["EMFILE"],
        "fstat": ["ENOMEM", "EIO"], "newfstatat": ["ENOENT", "EACCES", "ENOMEM"],
        "statx": ["ENOENT", "EACCES", "ENOMEM"], "access": ["ENOENT"], "faccessat2": ["ENOENT"],
        "close": ["EIO", "EINTR"],
        "write": ["ENOSPC", "EIO", "EINTR", "EROFS", "EDQUOT"],
        "pwrite64": ["ENOSPC", "EIO"], "ftruncate": ["ENOSPC", "EIO"],
        "rename": ["ENOSPC", "EROFS", "EACCES"], "renameat": ["ENOSPC", "EROFS", "EACCES"],
        "renameat2": ["ENOSPC", "EROFS", "EACCES"],
        "unlink": ["ENOENT", "EROFS", "EACCES"], "unlinkat": ["ENOENT", "EROFS", "EACCES"],
        "mkdir": ["ENOSPC", "EROFS"], "mkdirat": ["ENOSPC", "EROFS"], "umask": [],
        "fchmod": ["EPERM", "EROFS"], "fchmodat": ["EPERM", "EROFS"],
        "fsync": ["EIO", "ENOSPC"], "fdatasync": ["EIO", "ENOSPC"],
        "flock": ["EWOULDBLOCK", "EINTR", "ENOLCK"],
        "mmap": ["ENOMEM"], "mremap": ["ENOMEM"], "mprotect": ["ENOMEM"], "munmap": ["ENOMEM"],
        "madvise": ["ENOMEM"], "mlock": ["ENOMEM", "EPERM"], "munlock": ["ENOMEM"], "brk": [],
        "epoll_wait": ["EINTR"], "epoll_pwait": ["EINTR"], "poll": ["EINTR", "ENOMEM"],
        "ppoll": ["EINTR", "ENOMEM"], "epoll_ctl": ["ENOMEM", "ENOSPC"],
        "recvmsg": ["ENOBUFS", "EAGAIN", "EINTR", "ENOMEM"], "recvfrom": ["ENOBUFS", "EAGAIN"],
        "socket": ["EMFILE", "ENOBUFS"], "connect": ["ECONNREFUSED", "ENOENT", "EAGAIN"],
        "sendmsg": ["ECONNREFUSED", "EAGAIN", "ENOBUFS", "EMSGSIZE"],
        "sendto": ["ECONNREFUSED", "EAGAIN"], "getsockopt": ["ENOBUFS"], "setsockopt": ["EPERM"],
        "timerfd_settime": ["EINVAL"], "timerfd_create": ["EMFILE"],
        "signalfd4": ["EMFILE"], "eventfd2": ["EMFILE"], "memfd_create": ["EMFILE", "ENOMEM"],
        "kexec_load": ["EBUSY", "ENOMEM", "EPERM", "EINVAL", "EADDRNOTAVAIL"],
        "kexec_file_load": ["EBUSY", "ENOMEM", "EPERM", "EINVAL", "ENOEXEC", "EADDRNOTAVAIL"],
        "sched_setscheduler": ["EPERM"], "setpriority": ["EACCES"],
        "sched_getaffinity": ["EINVAL"], "sysinfo": [], "uname": [], "getrandom": ["EINTR"],
        "prlimit64": ["EPERM"], "finit_module": ["EPERM"], "ioctl": ["ENOTTY"],
        "getrusage": [], "getpriority": [], "sched_getscheduler": [], "sched_getparam": [],
    ]
    /// Calls that cannot fail.
    private static let safe: Set<String> = [
        "restart_syscall", "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "futex", "getpid",
        "gettid", "getuid", "geteuid", "getgid", "getegid",
        "clock_gettime", "sched_yield", "exit_group",
        "clock_nanosleep", "nanosleep", "getppid",
    ]
    /// Calls that may also end early: a file that is shorter than it was.
    private static let shortened: Set<String> = ["read", "pread64", "getdents64"]

    /// Reads what `strace -y` recorded.
    ///
    /// Of calls of one name on one object, as a directory's entries are read one after the other, the
    /// first and the last go wrong.
    init(recording: String) {
        var counts: [String: Int] = [:]
        var places: [String: [(path: String, number: Int)]] = [:]
        var steps: [(call: String, key: String)] = []
        var unknown: Set<String> = []
        for line in recording.split(separator: "\n") {
            guard let (call, path) = Self.call(in: line), !Self.safe.contains(call) else {
                continue
            }
            guard Self.errors[call] != nil else {
                unknown.insert(call)
                continue
            }
            // strace counts either those on one file or all.
            for counted in Set([path, ""]) { counts["\(call) \(counted)", default: 0] += 1 }
            let key = "\(call) \(Fault.withoutNumbers(path))"
            if places[key] == nil { steps.append((call, key)) }
            places[key, default: []].append((path, counts["\(call) \(path)"] ?? 0))
        }
        faults = steps.flatMap { step -> [Fault] in
            let all = places[step.key] ?? []
            return [all.prefix(1), all.dropFirst().suffix(1)].joined().flatMap { place in
                Self.effects(of: step.call).map {
                    Fault(
                        call: step.call, path: place.path, number: place.number, effect: $0)
                }
            }
        }
        // strace stops the daemon at the first such call on that file; the directory is spoilt before it
        // goes on.
        var writes = faults.filter {
            $0.effect == "signal=KILL" && $0.object.hasPrefix("/run/kdump-hotplugd")
        }
        writes = writes.reduce(into: []) { firsts, step in
            if !firsts.contains(where: { $0.name == step.name }) { firsts.append(step) }
        }
        spoilings = SpoiltDirectory.allCases.flatMap { directory in
            writes.map {
                Fault(
                    call: $0.call, path: $0.path, number: 1, effect: "signal=STOP",
                    spoils: directory)
            }
        }
        self.unknown = unknown
    }

    private static func effects(of call: String) -> [String] {
        (errors[call] ?? []).map { "error=\($0)" } + (shortened.contains(call) ? ["retval=0"] : [])
            + ["signal=KILL"]
    }

    /// The name of the call in a line, and what it works on.
    private static func call(in line: Substring) -> (call: String, path: String)? {
        // With -f each line begins with the number of the thread.
        let text = line.drop { $0.isNumber || $0 == " " }
        guard let bracket = text.firstIndex(of: "(") else { return nil }
        let call = text[..<bracket]
        guard !call.isEmpty, call.allSatisfy({ $0.isLowercase || $0.isNumber || $0 == "_" })
        else { return nil }
        // strace does not look for a file among a socket's addresses.
        let isSent = ["connect", "sendmsg", "sendto"].contains(call)
        return (String(call), isSent ? "" : path(in: text[bracket...]))
    }

    /// The first path among the arguments: a string, else that of a descriptor.
    private static func path(in arguments: Substring) -> String {
        for (open, close) in [("\"/", "\""), ("</", ">")] {
            guard let start = arguments.range(of: open) else { continue }
            let path = arguments[arguments.index(after: start.lowerBound)...]
            guard let end = path.range(of: close) else { continue }
            return String(path[..<end.lowerBound])
        }
        return ""
    }
}
