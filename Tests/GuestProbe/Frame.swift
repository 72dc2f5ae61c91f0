// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One answer of the probe on the serial line: `frame KIND BYTES CRC32`, then the bytes.
///
/// The line is the only way out of a capture kernel, and early output of the machine may still sit
/// in it; the checksum makes a spoilt answer a failure of the test and never a finding.
func send(_ kind: String, _ payload: [UInt8]) {
    let checksum = String(crc32(payload), radix: 16)
    write(Array("frame \(kind) \(payload.count) \(checksum)\n".utf8))
    write(payload)
}

private func write(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
        guard count > 0 || errno == EINTR || errno == EAGAIN else {
            perror("guest-probe: write returned \(count)")
            exit(1)
        }
        sent += max(count, 0)
    }
}

/// CRC-32 as in zlib, bit by bit: the answers are short.
private func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = ~UInt32(0)
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 {
            crc = (crc >> 1) ^ (crc & 1 == 0 ? 0 : 0xedb8_8320)
        }
    }
    return ~crc
}
