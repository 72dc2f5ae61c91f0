// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Which files the machine has, and what its paths lead to: below another root, symbolic links must
/// not lead out of it.
extension SystemRoot {
    /// The most symbolic links on one path, as in the kernel (MAXSYMLINKS of linux/namei.h).
    private static let mostLinks = 40

    /// Returns where to open `file`, absolute on the machine.
    ///
    /// On the real root that is the path itself, and the kernel follows its links when it is
    /// opened. Below another root, this function follows every link, an absolute one from that
    /// root.
    func place(of file: String) -> String {
        guard !prefix.isEmpty else { return file }
        var rest = SystemRoot.components(of: file)
        var found: [Substring] = []
        var links = 0
        while let name = rest.popLast() {
            if name == ".." {
                _ = found.popLast()
                continue
            }
            let here = "/" + (found + [name]).joined(separator: "/")
            guard let target = link(at: here), links < SystemRoot.mostLinks else {
                found.append(name)
                continue
            }
            links += 1
            if target.hasPrefix("/") { found = [] }
            rest += SystemRoot.components(of: target)
        }
        return prefix + "/" + found.joined(separator: "/")
    }

    /// The names along a path, the last one first.
    private static func components(of path: String) -> [Substring] {
        path.split(separator: "/").filter { $0 != "." }.reversed()
    }

    /// Returns the target of a symbolic link, or `nil` if `file` is not one.
    ///
    /// The corresponding C function is `readlink`.
    func link(at file: String) -> String? {
        // PATH_MAX of linux/limits.h.
        let longest = 4_096
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: longest) { target in
            guard let start = target.baseAddress else { return nil }
            let count = unsafe readlink(path(file), start, longest - 1)
            guard count >= 0 else { return nil }
            unsafe start[count] = 0
            return unsafe String(cString: start)
        }
    }

    /// Reads the beginning of a text file, 4 KiB at most; `nil` if it cannot be read.
    ///
    /// For long files that the kernel generates for each reader: it generates only what is read.
    /// The corresponding C functions are `open` and `read`.
    func head(of file: String) -> String? {
        let descriptor = unsafe open(path(file), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4 << 10)
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe read(descriptor, buffer.baseAddress, buffer.count)
        }
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Whether `file` is a regular file or a link to one.
    ///
    /// The corresponding C function is `stat`.
    func isFile(_ file: String) -> Bool {
        var status = stat()
        let found = unsafe stat(place(of: file), &status) == 0
        return found && status.st_mode & S_IFMT == S_IFREG
    }

    /// Whether there is a file or folder of that name, readable or not.
    ///
    /// The corresponding C function is `access`.
    func has(_ file: String) -> Bool { unsafe access(place(of: file), F_OK) == 0 }

    /// The number of links to a file; 0 if it is not there.
    ///
    /// The corresponding C function is `stat`.
    func links(to file: String) -> UInt64 {
        var status = stat()
        return unsafe stat(place(of: file), &status) == 0 ? UInt64(status.st_nlink) : 0
    }

    /// The names in a directory, in no order and with `.` and `..`; none if it cannot be read.
    ///
    /// The corresponding C functions are `opendir` and `readdir`.
    func names(in directory: String) -> [String] {
        guard let open = unsafe opendir(place(of: directory)) else { return [] }
        defer { unsafe closedir(open) }
        var names: [String] = []
        while let entry = unsafe readdir(open) {
            names.append(
                unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                    unsafe String(
                        cString: UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
                })
        }
        return names
    }
}
