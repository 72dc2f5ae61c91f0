// SPDX-License-Identifier: Apache-2.0

import CKdumpfile
import Glibc
import Guest
import MarkedPage

/// A dump on disk, opened by libkdumpfile as debuggers do: it knows nothing of how it was made.
final class DumpFile {
    /// Why libkdumpfile refuses a file, in its words.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    private let context: OpaquePointer
    private let descriptor: CInt

    /// Opens a dump of whatever format.
    ///
    /// The corresponding C functions are `kdump_new` and `kdump_open_fdset`.
    init(_ path: String) throws {
        var descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, let context = kdump_new() else {
            throw Refusal(description: "\(path): errno \(errno)")
        }
        self.context = context
        self.descriptor = descriptor
        guard kdump_open_fdset(context, 1, &descriptor) == KDUMP_OK else { throw refusal }
    }

    deinit {
        kdump_free(context)
        close(descriptor)
    }

    /// How many CPUs left their registers.
    var processors: Int {
        get throws {
            var count: kdump_num_t = 0
            guard kdump_get_number_attr(context, "cpu.number", &count) == KDUMP_OK else {
                throw refusal
            }
            return Int(count)
        }
    }

    /// How many of the marked pages are there, with every byte of their pattern.
    func intact(of marks: Marks) -> Int {
        marks.pages.count { address in
            var page = [UInt64](repeating: 0, count: MarkedPage.size / 8)
            var length = MarkedPage.size
            let status = kdump_read(
                context, KDUMP_MACHPHYSADDR, kdump_addr_t(address), &page, &length)
            guard status == KDUMP_OK, length == MarkedPage.size else { return false }
            return page.withUnsafeBytes { bytes in
                guard let start = bytes.baseAddress else { return false }
                return MarkedPage(address: address, nonce: marks.nonce).look(at: start) == .intact
            }
        }
    }

    private var refusal: Refusal {
        Refusal(description: kdump_get_err(context).map { String(cString: $0) } ?? "unknown")
    }
}
