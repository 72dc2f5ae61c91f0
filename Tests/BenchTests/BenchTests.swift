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
            "unloaded 1000000 1004000 1250000 1254000\npolls 250000 90000\ncovers 5000 4096\nunl")
        let gap = try #require(seen.gaps.first)
        #expect(gap.longest == 254 && gap.inner == 1_004...1_250)
        #expect(seen.resolution == 4)
        #expect(seen.coverage.map(\.bytes) == [4_096])
    }

    private static let grown: [(Double, UInt64)] = [(100, 10), (200, 10)]

    @Test func `stale is what is online and not in the header`() {
        let line = Timeline(
            unprotected: [150...160], online: Self.grown,
            coverage: [
                .init(time: 0, bytes: 5), .init(time: 160, bytes: 15), .init(time: 290, bytes: 25),
            ])
        #expect(line.stale == [100...160, 200...290])
        #expect(line.staleTime == 150 && line.staleTimeAfterwards == 90)
    }

    @Test func `a load under way is stale even where the header has everything`() {
        let line = Timeline(
            unprotected: [250...251, 900...950], online: Self.grown,
            coverage: [.init(time: 0, bytes: 5), .init(time: 50, bytes: 25)])
        #expect(line.stale == [250...251, 900...950])
        #expect(line.unprotectedTime == 51 && line.staleTimeAfterwards == 750)
    }

    @Test func `who covered all before it came online was never stale`() {
        let line = Timeline(
            unprotected: [10...20], online: Self.grown,
            coverage: [.init(time: 0, bytes: 5), .init(time: 20, bytes: 25)])
        #expect(line.stale.isEmpty && line.staleTimeAfterwards == 0)
    }
}
