// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// Measures the daemon beside its peers in guests, and writes raw numbers.
///
/// It judges nothing and asserts nothing: tables, ratios and plots are report/'s business.
///
///     Bench DIRECTORY [windows|elsewhere|storms|dimms|changes|blocks|growth|rest|profile|versions]...
///
/// `versions` wants another build of the daemon to compare with, so only who names it gets it.
@main
struct Bench {
    /// The size of the capture kernel's initrd in MiB, where it is not what is varied: what Debian's
    /// kdump-tools make for a machine with a few drivers.
    static let initrd = 30
    /// How often each refresh is measured: the 99th percentile of 20 is their maximum.
    private static let rounds = environment["KDUMP_HOTPLUGD_ROUNDS"].flatMap { Int($0) } ?? 20
    private static let environment = ProcessInfo.processInfo.environment
    /// The kernels that are compared: one that never updates an image itself, and one that does.
    private static let kernels = [Kernel.v6_1, .v6_12]

    private let directory: String
    private let image: GuestImage

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let directory = arguments.first else { throw GuestError.refused("no directory") }
        let parts: [(name: String, measure: (Bench) throws -> Void)] = [
            ("windows", { try $0.windows() }), ("elsewhere", { try $0.elsewhere() }),
            ("storms", { try $0.storms() }),
            ("dimms", { try $0.dimms() }), ("changes", { try $0.changes() }),
            ("blocks", { try $0.blocks() }),
            ("growth", { try $0.growth() }), ("rest", { try $0.rest() }),
            ("profile", { try $0.profile() }), ("versions", { try $0.versions() }),
        ]
        let wanted =
            arguments.count > 1
            ? Array(arguments.dropFirst()) : parts.map(\.name).filter { $0 != "versions" }
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        try Versions.layOut()
        let bench = Bench(
            directory: directory, image: try GuestImage.prepare(progress: progress))
        for part in parts where wanted.contains(part.name) { try part.measure(bench) }
    }

    private func windows() throws {
        let table = try Table("windows", in: directory, columns: Windows.columns)
        for kernel in Self.kernels {
            try attempt("windows \(kernel)") {
                let guest = try Machine.bench(kernel, image)
                try Windows(
                    guest: guest, rounds: Self.rounds, table: table
                ).measure()
            }
        }
    }

    /// On POWER and arm64, where Debian's kernels have only `kexec_load`.
    private func elsewhere() throws {
        let table = try Table("elsewhere", in: directory, columns: Windows.columns)
        let kernels: [(Platform, [Kernel], reserved: Int)] = [
            (.pseries, [.power6_1, .power6_12], 320), (.virt, [.arm6_12, .arm7], 256),
        ]
        for (platform, kernels, reserved) in kernels {
            let image = try GuestImage.prepare(for: platform, whole: true, progress: progress)
            for kernel in kernels {
                try attempt("elsewhere \(kernel)") {
                    try Windows(
                        guest: try Machine.bench(kernel, image), rounds: Self.rounds,
                        reserved: reserved, table: table
                    ).measure()
                }
            }
        }
    }

    private func storms() throws {
        let table = try Table("storms", in: directory, columns: Storm.columns)
        for kernel in Self.kernels {
            try storm(kernel, .growth, dimms: 1, of: 65_536, Way.all(on: kernel), table)
        }
    }

    /// Many DIMMs.
    private func dimms() throws {
        try storm(
            .v6_1, .growth, dimms: 64, of: 1_024, [.nobody] + Way.daemons + [.fedora],
            try Table("dimms", in: directory, columns: Storm.columns))
    }

    /// DIMMs that come and go.
    private func changes() throws {
        let table = try Table("changes", in: directory, columns: Storm.columns)
        for kernel in Self.kernels {
            let peer = kernel == .v6_1 ? Way.fedora : .kernel
            try storm(
                kernel, .random, dimms: 8, of: 256, [.nobody] + Way.daemons + [peer], table)
        }
    }

    /// 16, 64, 256 and 1024 memory blocks of 128 MiB.
    private func blocks() throws {
        let table = try Table("blocks", in: directory, columns: Storm.columns)
        for size in [2_048, 8_192, 32_768, 131_072] {
            try storm(.v6_1, .growth, dimms: 1, of: size, [.ours, .fedora], table)
        }
    }

    private func storm(
        _ kernel: Kernel, _ kind: Storm.Kind, dimms: Int, of size: Int, _ ways: [Way],
        _ table: Table
    ) throws {
        let storm = Storm(
            image: image, kernel: kernel, kind: kind, dimms: dimms, size: size, table: table)
        for way in ways {
            try attempt("storm \(kernel): \(kind) of \(dimms) × \(size) MiB, \(way.rawValue)") {
                try storm.measure(way)
            }
        }
    }

    private func growth() throws {
        let growth = Growth(
            image: image, windows: try Table("growth", in: directory, columns: Windows.columns),
            looks: try Table("looks", in: directory, columns: Growth.columns))
        for (reserved, initrd) in [(192, 15), (192, 60), (192, 120), (512, 60)] {
            try attempt("growth: \(reserved) MiB reserved, initrd of \(initrd) MiB") {
                try growth.measure(reserved: reserved, initrd: initrd)
            }
        }
    }

    private func rest() throws {
        let table = try Table("rest", in: directory, columns: Rest.columns)
        for kernel in Self.kernels {
            try attempt("at rest: \(kernel)") {
                try Rest(guest: try Machine.bench(kernel, image), table: table).measure()
            }
        }
    }

    private func profile() throws {
        let table = try Table("profile", in: directory, columns: Profile.columns)
        for (kernel, processors) in [(Kernel.v6_1, 2), (.v6_1, 1), (.v6_12, 2)] {
            try attempt("profile \(kernel), \(processors) CPUs") {
                let guest = try Machine.bench(kernel, image) { $0.processors = processors }
                try Profile(guest: guest, table: table).measure()
            }
        }
    }

    private func versions() throws {
        guard Versions.before != nil else {
            throw GuestError.refused("KDUMP_HOTPLUGD_BEFORE must name another build of the daemon")
        }
        let table = try Table("versions", in: directory, columns: Versions.columns)
        for kernel in Self.kernels {
            try attempt("versions \(kernel)") {
                let guest = try Machine.bench(kernel, image)
                try Versions(guest: guest, rounds: Self.rounds, table: table).measure()
            }
        }
    }

    /// Measures one thing.
    ///
    /// Where its guest is lost, that is said, and the next thing is measured: a run takes too long to
    /// be made again for one of forty guests.
    private func attempt(_ what: String, _ measure: () throws -> Void) throws {
        progress(what)
        do {
            try measure()
        } catch let error as GuestError {
            progress("\(what): not measured, its guest is lost. \(error)")
        }
    }
}
