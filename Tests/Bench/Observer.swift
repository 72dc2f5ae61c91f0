// SPDX-License-Identifier: Apache-2.0

import Guest

/// What guest-probe saw from outside; see Tests/GuestProbe/Watch.swift for its lines.
struct Observation {
    /// An interval in which no crash kernel was loaded, in microseconds of CLOCK_MONOTONIC.
    struct Gap {
        /// The last poll that still saw one, and the first that saw one again.
        let outer: ClosedRange<Double>
        /// The first and the last poll that saw none.
        let inner: ClosedRange<Double>

        /// At most so long.
        var longest: Double { outer.upperBound - outer.lowerBound }
    }

    /// When the core header began to list which memory above 4 GiB.
    struct Coverage {
        let time: Double
        let ranges: RangeSet<UInt64>
    }

    private(set) var gaps: [Gap] = []
    private(set) var coverage: [Coverage] = []
    private var polls = 0
    private var seconds = 0

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "covers" {
                if let line = Coverage(words.dropFirst()) { coverage.append(line) }
                continue
            }
            let numbers = words.dropFirst().compactMap { UInt64($0) }
            let times = numbers.map { Double($0) / 1_000 }
            switch (words.first, numbers.count) {
            case ("unloaded", 4):
                gaps.append(Gap(outer: times[0]...times[3], inner: times[1]...times[2]))
            case ("polls", 2):
                polls += Int(numbers[0])
                seconds += 1
            default: break
            }
        }
    }

    /// The mean time between two polls in microseconds: what a gap may be told too long by, twice.
    var resolution: Double { polls == 0 ? 0 : Double(seconds) * 1_000_000 / Double(polls) }
}

extension Observation.Coverage {
    /// Reads a time in nanoseconds and ranges in hexadecimal, as guest-probe writes them; `nil` for a
    /// line that is cut off.
    init?(_ words: ArraySlice<Substring>) {
        guard let time = words.first.flatMap({ UInt64($0) }) else { return nil }
        var ranges = RangeSet<UInt64>()
        for span in words.dropFirst() {
            let ends = span.split(separator: "-").compactMap { UInt64($0, radix: 16) }
            guard ends.count == 2, ends[0] < ends[1] else { return nil }
            ranges.insert(contentsOf: ends[0]..<ends[1])
        }
        self.init(time: Double(time) / 1_000, ranges: ranges)
    }
}

extension Machine {
    /// Starts to watch on the last CPU that the guest has; `header` is the core header's address.
    ///
    /// Without a pause it takes that CPU for itself. With one it goes before the daemon, whose priority
    /// would make it see everything late.
    func startWatching(pause: Int = 0, header: UInt64? = nil) throws {
        let address = header.map { String($0, radix: 16) } ?? ""
        try expect(
            """
            systemctl -q stop watch 2>/dev/null; rm -f /run/watch
            systemd-run -q --unit=watch --slice=watch -p StandardOutput=file:/run/watch \
            \(pause > 0 ? "chrt --fifo 50" : "") taskset -c \(settings.processors - 1) /tools/guest-probe watch \(pause) \(address)
            """)
        // What the header has at first is what later changes are compared with.
        if header != nil { try waitUntil("grep -q ^covers /run/watch") }
    }

    /// What has been seen since.
    func seen() throws -> Observation { Observation(try expect("cat /run/watch")) }
}
