// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Bench

/// What the benchmark makes of what guests say: numbers that nobody would notice to be wrong.
@Suite struct BenchTests {
    /// As 6.1 writes it, with a command name that has a blank in it.
    private static let record = """
        # tracer: nop
                   kexec-310     [001] .....    10.000100: sys_kexec_load(entry: 0, nr_segments: 0, segments: 0, flags: 1)
                   kexec-310     [001] .....    10.000150: load: (do_kexec_load+0x0/0x2a0)
                   kexec-310     [001] .....    10.000250: loaded: (__x64_sys_kexec_load+0x9e/0xd0 <- do_kexec_load)
                   kexec-310     [001] .....    10.000300: sys_kexec_load -> 0x0
               a worker-311     [000] .....    10.500000: sys_kexec_file_load(kernel_fd: 3, initrd_fd: 4, cmdline_len: 5f, cmdline_ptr: 1, flags: 2)
               a worker-312     [001] .....    10.600000: sys_kexec_load(entry: 1, nr_segments: 2, segments: 7f, flags: 1)
               a worker-312     [001] .....    10.600100: sys_kexec_load -> 0xfffffffffffffff0
               a worker-311     [000] .....    11.500000: sys_kexec_file_load -> 0x0
           kdump-hotpl-77      [001] .....    12.000000: sys_kexec_load(entry: 33000000, nr_segments: 3, segments: 7f, flags: 1)
           kdump-hotpl-77      [001] .....    12.000200: load: (do_kexec_load+0x0/0x2a0)
           kdump-hotpl-77      [001] .....    12.001200: loaded: (__x64_sys_kexec_load+0x9e/0xd0 <- do_kexec_load)
           kdump-hotpl-77      [001] .....    12.001500: sys_kexec_load -> 0x0

        """

    @Test func `calls that succeeded are found, whoever made them`() {
        let calls = Trace(Self.record).calls
        #expect(calls.map(\.isUnload) == [true, false, false])
        #expect(calls.map { $0.duration.rounded() } == [200, 1_000_000, 1_500])
    }

    @Test func `from an unload to the end of the next load nothing protects`() {
        let intervals = Trace(Self.record).unprotected.map {
            [$0.lowerBound.rounded(), $0.upperBound.rounded()]
        }
        #expect(intervals == [[10_000_100, 11_500_000], [12_000_200, 12_001_200]])
    }

    @Test func `an unload without a load lasts to the end`() {
        let lines = Self.record.split(separator: "\n")
        let cut = Trace(lines.prefix(6).joined(separator: "\n"))
        #expect(cut.unprotected.map { $0.upperBound.rounded() } == [10_500_000])
    }

    @Test func `a gap is bounded by the polls around it`() throws {
        let seen = Observation(
            "unloaded 1000000 1004000 1250000 1254000\npolls 250000 90000\ncovers 5000 1000-2000\nunl"
        )
        let gap = try #require(seen.gaps.first)
        #expect(gap.longest == 254 && gap.inner == 1_004...1_250)
        #expect(seen.resolution == 4)
        #expect(seen.coverage.map(\.ranges) == [RangeSet(0x1000..<0x2000)])
    }

    private static let memory = """
            kworker/u8:0-9       [001] .....    38.000000: add: (add_memory_resource+0x0/0x2e0) from=0x140000000 last=0x147ffffff
            kworker/u8:0-9       [001] .....    38.100000: online: (online_pages+0x0/0x2d0) from=0x140000 count=0x8000
            kworker/u8:0-9       [001] .....    38.200000: onlined: (memory_subsys_online+0x98/0x170 <- online_pages) ret=0x0
            kworker/u8:0-9       [001] .....    38.300000: added: (__add_memory+0x38/0x80 <- add_memory_resource)
            kworker/u8:0-9       [001] .....    39.000000: offline: (offline_pages+0x0/0x2d0) from=0x140000 count=0x8000
            kworker/u8:0-9       [001] .....    39.100000: offlined: (memory_subsys_offline+0x98/0x170 <- offline_pages) ret=0xfffffff0
            kworker/u8:0-9       [001] .....    39.200000: offline: (offline_pages+0x0/0x2d0) from=0x140000 count=0x8000
            kworker/u8:0-9       [001] .....    39.300000: offlined: (memory_subsys_offline+0x98/0x170 <- offline_pages) ret=0x0
            kworker/u8:0-9       [001] .....    39.400000: release: (release_mem_region_adjustable+0x0/0x2d0) from=0x140000000 count=0x8000000
            kworker/u8:0-9       [001] .....    39.500000: released: (try_remove_memory+0x98/0x170 <- release_mem_region_adjustable)
        """

    @Test func `what happens to memory is told in order, and what fails is not`() {
        let changes = Trace(Self.memory).changes
        #expect(changes.map(\.kind) == [.added, .online, .offline, .removed])
        #expect(changes.map { ($0.time / 100_000).rounded() } == [380, 382, 393, 395])
        #expect(changes.allSatisfy { $0.range == 0x1_4000_0000..<0x1_4800_0000 })
    }

    private static let grown: [Timeline.Change] = [
        .init(time: 90, kind: .added, range: 10..<30),
        .init(time: 100, kind: .online, range: 10..<20),
        .init(time: 200, kind: .online, range: 20..<30),
    ]

    private func covers(_ time: Double, _ range: Range<UInt64>?) -> Observation.Coverage {
        var ranges = RangeSet<UInt64>(0..<5)
        if let range { ranges.insert(contentsOf: range) }
        return .init(time: time, ranges: ranges)
    }

    @Test func `stale is what is in use and not in the header`() {
        let line = Timeline(
            unprotected: [150...160], changes: Self.grown,
            coverage: [covers(0, nil), covers(160, 10..<20), covers(290, 10..<30)])
        #expect(line.stale == [100...160, 200...290])
        #expect(line.staleTime == 150 && line.staleTimeAfterwards == 90)
        #expect(line.loss == 150.0 / 190)
    }

    @Test func `a load under way is stale even where the header has everything`() {
        let line = Timeline(
            unprotected: [250...251, 900...950], changes: Self.grown,
            coverage: [covers(0, nil), covers(95, 10..<30)])
        #expect(line.stale == [250...251, 900...950])
        #expect(line.unprotectedTime == 51 && line.staleTimeAfterwards == 750)
    }

    @Test func `who covered all before it was used was never stale`() {
        let line = Timeline(
            unprotected: [10...20], changes: Self.grown,
            coverage: [covers(0, nil), covers(92, 10..<30)])
        #expect(line.stale.isEmpty && line.staleTimeAfterwards == 0 && line.loss == 0)
    }

    @Test func `what is gone must not be listed, what is out of use may be`() {
        let line = Timeline(
            unprotected: [],
            changes: Self.grown + [
                .init(time: 300, kind: .offline, range: 10..<20),
                .init(time: 400, kind: .removed, range: 10..<20),
                .init(time: 410, kind: .added, range: 10..<20),
            ],
            coverage: [covers(0, nil), covers(92, 10..<30), covers(405, 20..<30)])
        #expect(line.stale == [400...405])
        let other = Timeline(
            unprotected: [],
            changes: line.changes + [.init(time: 420, kind: .online, range: 10..<20)],
            coverage: line.coverage + [covers(430, 30..<40)])
        #expect(other.stale == [400...405, 420...430], "as many bytes, elsewhere")
    }
}
