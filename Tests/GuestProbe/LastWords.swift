// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Says on the console what the machine has, and crashes it at once.
///
/// Whoever reads the dump needs to know what was there at that moment, while memory comes and goes:
///
///     last words: ram START-END,... online START-END,... cpus LIST
///
/// `ram` is System RAM, `online` are the memory blocks that are in use, both in hexadecimal. It is read
/// until it has not changed while it was said.
struct LastWords {
    private static let blocks = "/sys/devices/system/memory"

    func speakAndCrash() throws(ProbeError) -> Never {
        // Nothing that is ready to run may come between the words and the crash.
        var first = sched_param(sched_priority: 99)
        sched_setscheduler(0, SCHED_FIFO, &first)
        mlockall(MCL_CURRENT | MCL_FUTURE)
        let log = open("/dev/kmsg", O_WRONLY)
        let trigger = open("/proc/sysrq-trigger", O_WRONLY)
        guard log >= 0, trigger >= 0 else { throw .system("kmsg or sysrq-trigger", errno) }
        var words = try state()
        while true {
            // A notice gets to the consoles of guests. An alert would, too, but the daemon takes one for
            // the beginning of a panic, and loads no more.
            let line = Array("<5>last words: \(words)".utf8)
            guard line.withUnsafeBytes({ write(log, $0.baseAddress, $0.count) }) > 0 else {
                throw .system("write kmsg", errno)
            }
            let now = try state()
            if now == words { break }
            words = now
        }
        write(trigger, "c", 1)
        throw .system("the machine has not crashed", errno)
    }

    private func state() throws(ProbeError) -> String {
        let size = UInt64(try text("\(Self.blocks)/block_size_bytes").dropLast(), radix: 16) ?? 0
        var online: [Range<UInt64>] = []
        for number in try blockNumbers() {
            // A block that goes meanwhile is not online.
            guard let state = try? text("\(Self.blocks)/memory\(number)/state"), state == "online\n"
            else { continue }
            let start = number * size
            if let last = online.last, last.upperBound == start {
                online[online.count - 1] = last.lowerBound..<start + size
            } else {
                online.append(start..<start + size)
            }
        }
        let ram = try text("/proc/iomem").split(separator: "\n")
            .filter { $0.contains(": System RAM") }
            .map { $0.prefix { $0 != ":" }.filter { $0 != " " } }
        let cpus = try text("/sys/devices/system/cpu/online").dropLast()
        let spans = online.map {
            String($0.lowerBound, radix: 16) + "-" + String($0.upperBound - 1, radix: 16)
        }
        return
            "ram \(ram.joined(separator: ",")) online \(spans.joined(separator: ",")) cpus \(cpus)"
    }

    private func blockNumbers() throws(ProbeError) -> [UInt64] {
        guard let folder = opendir(Self.blocks) else { throw .system(Self.blocks, errno) }
        defer { closedir(folder) }
        var numbers: [UInt64] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name.hasPrefix("memory"), let number = UInt64(name.dropFirst(6)) {
                numbers.append(number)
            }
        }
        return numbers.sorted()
    }

    private func text(_ path: String) throws(ProbeError) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system(path, errno) }
        defer { close(file) }
        var text: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(file, &part, part.count)
            guard count >= 0 else { throw .system(path, errno) }
            if count == 0 { return String(decoding: text, as: UTF8.self) }
            text += part[..<count]
        }
    }
}
