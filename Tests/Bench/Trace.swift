// SPDX-License-Identifier: Apache-2.0

import Guest

/// What the guest's kernel says of loads: when each began and ended, in the kernel's own record.
///
/// It treats all loaders alike and believes none of them: tracepoints at the ends of the two system
/// calls, and kprobe events around the part of `kexec_load` that holds the kexec lock and around the
/// kernel's own update. Times are microseconds of CLOCK_MONOTONIC, as guest-probe's.
struct Trace {
    /// Something that began and ended.
    struct Span {
        let start: Double
        let end: Double
        /// What the first of the two events says.
        let arguments: Substring
        /// What it returned, as the trace has it; empty where that is not recorded.
        let result: String

        /// In microseconds.
        var duration: Double { end - start }

        /// The range that the first event names, as `from=0x… count=0x…` or `from=0x… last=0x…`.
        var range: Range<UInt64>? {
            var values: [Substring: UInt64] = [:]
            for word in arguments.split(separator: " ") {
                let parts = word.split(separator: "=")
                guard parts.count == 2, parts[1].hasPrefix("0x") else { continue }
                values[parts[0]] = UInt64(parts[1].dropFirst(2), radix: 16)
            }
            guard let from = values["from"] else { return nil }
            if let count = values["count"] { return from..<from + count }
            return values["last"].map { from..<$0 + 1 }
        }

        /// Whether it is a system call that unloads: no segments, or KEXEC_FILE_UNLOAD.
        var isUnload: Bool {
            if arguments.contains("nr_segments: 0,") { return true }
            guard arguments.hasPrefix("sys_kexec_file_load"),
                let flags = arguments.split(separator: " ").last?.dropLast(),
                let number = UInt64(flags, radix: 16)
            else { return false }
            return number & 1 == 1
        }
    }

    private struct Event {
        let thread: Substring
        let time: Double
        let text: Substring
    }

    private let events: [Event]

    /// Reads the text of the tracefs file `trace`.
    init(_ text: String) {
        events = text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard !line.hasPrefix("#"), let cpu = words.firstIndex(where: { $0.hasPrefix("[") }),
                cpu > 0, words.count > cpu + 3, words[cpu + 2].last == ":",
                let seconds = Double(words[cpu + 2].dropLast())
            else { return nil }
            return Event(
                thread: words[cpu - 1], time: seconds * 1_000_000,
                text: line[words[cpu + 3].startIndex...])
        }
    }

    /// The two system calls that load, whoever made them, and only those that succeeded.
    var calls: [Span] {
        ["kexec_load", "kexec_file_load"]
            .flatMap { spans(from: "sys_\($0)(", to: "sys_\($0) -> ") }
            .filter { $0.result == "0x0" }
            .sorted { $0.start < $1.start }
    }

    /// The time in which `kexec_load` holds the kexec lock.
    var locks: [Span] { spans(from: "load: ", to: "loaded: ") }

    /// The intervals in which a panic would have got no dump: whatever holds the lock, and from the
    /// beginning of an unload to the end of the load that follows it.
    var unprotected: [ClosedRange<Double>] {
        var intervals = ownUpdates.map { $0.start...$0.end }
        var unloaded: Double?
        for call in calls {
            if call.isUnload {
                unloaded = unloaded ?? call.start
            } else if let start = unloaded {
                intervals.append(start...call.end)
                unloaded = nil
            } else {
                let lock = locks.first { $0.start >= call.start && $0.end <= call.end } ?? call
                intervals.append(lock.start...lock.end)
            }
        }
        if let unloaded, let end = events.last?.time { intervals.append(unloaded...end) }
        return intervals.sorted { $0.lowerBound < $1.lowerBound }
    }

    /// The kernel's own updates of the core header, which hold the same lock.
    var ownUpdates: [Span] { spans(from: "update: ", to: "updated: ") }

    /// Reads of the files of sysfs that take the kexec lock, `crash_hotplug` and `kexec_crash_size`.
    var lockingReads: [Span] { spans(from: "ask: ", to: "asked: ") }

    /// What happened to memory, in order.
    var changes: [Timeline.Change] {
        let page: UInt64 = 4_096
        let blocks = [
            ("online", "onlined", Timeline.Change.Kind.online), ("offline", "offlined", .offline),
        ]
        var changes = blocks.flatMap { first, last, kind in
            spans(from: "\(first): ", to: "\(last): ").filter { $0.result == "ret=0x0" }.compactMap
            { span in
                span.range.map { range in
                    Timeline.Change(
                        time: span.end, kind: kind,
                        range: range.lowerBound * page..<range.upperBound * page)
                }
            }
        }
        // It is listed by the kernel before `add_memory_resource` begins, and until the release ends.
        changes += spans(from: "add: ", to: "added: ").compactMap { span in
            span.range.map { Timeline.Change(time: span.start, kind: .added, range: $0) }
        }
        changes += spans(from: "release: ", to: "released: ").compactMap { span in
            span.range.map { Timeline.Change(time: span.end, kind: .removed, range: $0) }
        }
        return changes.sorted { $0.time < $1.time }
    }

    /// Pairs of events of one thread each.
    func spans(from first: String, to last: String) -> [Span] {
        var begun: [Substring: Event] = [:]
        var spans: [Span] = []
        for event in events {
            if event.text.hasPrefix(first) {
                begun[event.thread] = event
            } else if event.text.hasPrefix(last),
                let first = begun.removeValue(forKey: event.thread)
            {
                let result = event.text.split(separator: " ").last.map(String.init) ?? ""
                spans.append(
                    Span(
                        start: first.time, end: event.time, arguments: first.text, result: result))
            }
        }
        return spans
    }
}

extension Machine {
    private static let tracing = "/sys/kernel/tracing"

    /// Records loads, and what happens to memory, from now on.
    func startTracing() throws {
        try expect(
            """
            mountpoint -q \(Self.tracing) || mount -t tracefs tracefs \(Self.tracing)
            cd \(Self.tracing) && echo mono >trace_clock && echo 8192 >buffer_size_kb
            probe() {
                grep -q " $3\\$" /proc/kallsyms || return 0
                echo "p:bench/$1 $3 $4" >>kprobe_events && echo "r:bench/$2 $3 $5" >>kprobe_events
            }
            probe load loaded do_kexec_load
            probe update updated crash_handle_hotplug_event
            probe online onlined online_pages 'from=$arg1:x64 count=$arg2:x64' 'ret=$retval:x32'
            probe offline offlined offline_pages 'from=$arg1:x64 count=$arg2:x64' 'ret=$retval:x32'
            probe add added add_memory_resource 'from=+0($arg2):x64 last=+8($arg2):x64'
            probe release released release_mem_region_adjustable 'from=$arg1:x64 count=$arg2:x64'
            probe ask asked crash_check_hotplug_support
            probe ask asked crash_get_memory_size
            for event in bench syscalls/sys_{enter,exit}_kexec_{load,file_load}
            do [ ! -e events/$event ] || echo 1 >events/$event/enable || exit
            done
            echo 1 >tracing_on
            """)
    }

    /// Records these functions of the kernel as well, those of them that it has.
    func watchFunctions(_ functions: [String]) throws {
        try expect(
            """
            cd \(Self.tracing) && echo 0 >events/bench/enable
            for name in \(functions.joined(separator: " ")); do
                echo "p:bench/in_$name $name" >>kprobe_events
                echo "r:bench/out_$name $name" >>kprobe_events
            done 2>/dev/null
            echo 1 >events/bench/enable
            """)
    }

    /// Forgets what has been recorded.
    func clearTrace() throws { try expect("echo >\(Self.tracing)/trace") }

    /// What has been recorded since.
    func trace() throws -> Trace {
        Trace(try expect("cat \(Self.tracing)/trace"))
    }

    /// Waits until a load has succeeded since the record was cleared, and a moment longer.
    func waitForLoad() throws {
        try waitUntil("grep -q 'sys_kexec.* -> 0x0' \(Self.tracing)/trace")
        try expect("sleep 0.3")
    }
}
