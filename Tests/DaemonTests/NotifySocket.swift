// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// The socket at which systemd listens to a service, in the place of systemd.
///
/// NOTIFY_SOCKET names it for as long as it lives.
final class NotifySocket {
    let fd: CInt
    private let path: String

    init() throws {
        path = "/tmp/kdump-hotplugd-test-notify-\(getpid())"
        unlink(path)
        fd = try bindDatagramSocket(path)
        setenv("NOTIFY_SOCKET", path, 1)
    }

    deinit {
        unsetenv("NOTIFY_SOCKET")
        close(fd)
        unlink(path)
    }

    /// Takes the next message, or nil where none has come; sending one is synchronous.
    func receive() -> String? {
        receiveDatagram(fd).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Makes a socket that receives what is sent to `path`.
func bindDatagramSocket(_ path: String) throws -> CInt {
    let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let fd = socket(AF_UNIX, type, 0)
    try #require(fd >= 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) { address in
        address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            bind(fd, address, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    try #require(bound == 0)
    return fd
}

/// Takes the next message from a socket, or nil where none has come.
func receiveDatagram(_ fd: CInt) -> [UInt8]? {
    var message = [UInt8](repeating: 0, count: 8192)
    let length = recv(fd, &message, message.count, 0)
    return length < 0 ? nil : Array(message[..<length])
}
