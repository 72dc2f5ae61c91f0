// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Watches from outside how long no crash kernel is loaded, and what the loaded one covers.
///
/// It believes nobody who loads: it asks `/sys/kernel/kexec_crash_loaded`, which takes no lock, as
/// often as it can, and reads the core header where it lies in reserved memory. Each change is one
/// line; times are nanoseconds of CLOCK_MONOTONIC, which kprobe events can use as well:
///
///     unloaded BEFORE FIRST LAST AFTER    the polls around and at both ends of an interval
///     covers TIME START-END...            memory above 4 GiB in the core header, in hexadecimal
///     polls COUNT LONGEST                 within the last second, and the longest between two
struct Watch {
    /// Where hot-added memory lies in a guest with less memory than that at boot.
    private static let boundary: UInt64 = 4 << 30
    private static let second: UInt64 = 1_000_000_000

    /// The address of the core header; `nil` does not look into it.
    let header: UInt64?
    /// How long it sleeps between two looks, in microseconds; 0 takes a whole CPU.
    let pause: UInt32

    func run() throws(ProbeError) -> Never {
        let file = open("/sys/kernel/kexec_crash_loaded", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system("kexec_crash_loaded", errno) }
        mlockall(MCL_CURRENT | MCL_FUTURE)
        var memory = header == nil ? nil : try CoreFile("/proc/kcore")
        let page = UnsafeMutableRawPointer.allocate(byteCount: MarkedPage.size, alignment: 4096)
        var gap: (before: UInt64, first: UInt64, last: UInt64)?
        var covered: String?
        var polls = (since: Watch.now(), last: Watch.now(), count: 0, longest: UInt64(0))
        while true {
            let isLoaded = try Watch.isLoaded(file)
            let now = Watch.now()
            switch (isLoaded, gap) {
            case (true, let over?):
                say("unloaded \(over.before) \(over.first) \(over.last) \(now)")
                gap = nil
            case (false, nil): gap = (polls.last, now, now)
            case (false, _?): gap?.last = now
            case (true, nil): break
            }
            if let file = memory, let header {
                if let ranges = Watch.ranges(file, header, page) {
                    if ranges != covered { say("covers \(now)\(ranges)") }
                    covered = ranges
                } else if let now = try? CoreFile("/proc/kcore") {
                    // Much new memory moves what the file has elsewhere.
                    file.close()
                    memory = now
                }
            }
            polls.count += 1
            polls.longest = max(polls.longest, now - polls.last)
            polls.last = now
            if now - polls.since >= Watch.second {
                say("polls \(polls.count) \(polls.longest)")
                polls = (now, now, 0, 0)
            }
            if pause > 0 { usleep(pause) }
        }
    }

    private static func isLoaded(_ file: CInt) throws(ProbeError) -> Bool {
        var digit: UInt8 = 0
        guard pread(file, &digit, 1, 0) == 1 else { throw .system("kexec_crash_loaded", errno) }
        return digit == UInt8(ascii: "1")
    }

    /// The RAM above the boundary that a core header lists; `nil` while it is no header.
    private static func ranges(
        _ memory: CoreFile, _ address: UInt64, _ page: UnsafeMutableRawPointer
    ) -> String? {
        guard case .page = memory.read(address, into: page),
            page.load(as: UInt32.self) == UInt32(bigEndian: 0x7f45_4c46)
        else { return nil }
        // More headers than fit the page are more than any guest here needs.
        let count = min(Int(page.load(fromByteOffset: 56, as: UInt16.self)), (4096 - 64) / 56)
        return (0..<count).reduce(into: "") { text, index in
            let entry = page + 64 + index * 56
            let start = entry.load(fromByteOffset: 24, as: UInt64.self)
            guard entry.load(as: UInt32.self) == 1, start >= boundary, start < 1 << 52
            else { return }
            let end = start + entry.load(fromByteOffset: 40, as: UInt64.self)
            text += " \(String(start, radix: 16))-\(String(end, radix: 16))"
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * second + UInt64(time.tv_nsec)
    }

    /// At once: whoever watches is killed in the end.
    private func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
