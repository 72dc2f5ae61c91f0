// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A unix socket between a test and its QEMU: a serial port or the machine protocol.
///
/// The test listens and QEMU connects, so that there is nothing to wait for and nothing of the
/// first bytes is lost. Blocking, with a deadline on every call.
final class Wire {
    private let listener: CInt
    private var socket: CInt = -1
    private var pending: [UInt8] = []
    /// How far `pending` has been handed out; it is cut only when it has grown.
    private var taken = 0

    init(listeningAt path: String) throws(GuestError) {
        listener = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { space in
            guard path.utf8.count < space.count else { return false }
            space.copyBytes(from: path.utf8)
            return true
        }
        guard listener >= 0, fits else { throw .tool("socket \(path)") }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listener, 1) == 0 else { throw .tool("bind \(path)") }
    }

    deinit {
        close(listener)
        if socket >= 0 { close(socket) }
    }

    func accept(by deadline: Deadline) throws(GuestError) {
        try waitFor(listener, POLLIN, by: deadline)
        socket = Glibc.accept(listener, nil, nil)
        guard socket >= 0, fcntl(socket, F_SETFD, FD_CLOEXEC) == 0 else { throw .tool("accept") }
    }

    /// The next line, without its end; a carriage return before the end is dropped too.
    func line(by deadline: Deadline) throws(GuestError) -> String {
        var searched = taken
        while true {
            if let end = pending[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                var line = pending[taken..<end]
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                taken = end + 1
                return String(decoding: line, as: UTF8.self)
            }
            let unsearched = pending.count - taken
            try receive(by: deadline)
            searched = taken + unsearched
        }
    }

    func bytes(_ count: Int, by deadline: Deadline) throws(GuestError) -> [UInt8] {
        while pending.count - taken < count {
            try receive(by: deadline)
        }
        defer { taken += count }
        return Array(pending[taken..<taken + count])
    }

    func send(_ text: String, by deadline: Deadline) throws(GuestError) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            try waitFor(socket, POLLOUT, by: deadline)
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw .ended("") }
            sent += count
        }
    }

    private func receive(by deadline: Deadline) throws(GuestError) {
        if taken > 0 {
            pending.removeFirst(taken)
            taken = 0
        }
        try waitFor(socket, POLLIN, by: deadline)
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &buffer, buffer.count, 0)
        guard count > 0 else { throw .ended("") }
        pending += buffer[..<count]
    }

    private func waitFor(_ file: CInt, _ event: CInt, by deadline: Deadline) throws(GuestError) {
        var waiting = pollfd(fd: file, events: Int16(event), revents: 0)
        while true {
            let ready = poll(&waiting, 1, deadline.milliseconds)
            if ready > 0 { return }
            guard ready < 0, errno == EINTR else { throw .timedOut("nothing came") }
        }
    }
}
