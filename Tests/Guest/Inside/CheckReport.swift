// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What `kdump-hotplugd --check --json` says, as far as tests compare it with the machine.
///
/// Decoded by keys of its own, not by the daemon's types: both would share a mistake.
package struct CheckReport: Decodable, Sendable {
    /// A run of physical addresses.
    package struct Range: Decodable, Sendable {
        package let start: String
        package let size: UInt64

        /// As numbers; empty where the start is none.
        package var addresses: Swift.Range<UInt64> {
            let first = UInt64(start.dropFirst(2), radix: 16) ?? 0
            return first..<first + size
        }
    }

    package struct Memory: Decodable, Sendable {
        package let present: UInt64
        package let covered: UInt64?
        package let missing: [Range]
        package let phantom: [Range]
    }

    package struct Processors: Decodable, Sendable {
        package let present: Set<Int>
        package let missing: Set<Int>
        package let phantom: Set<Int>
    }

    package struct CommandLine: Decodable, Sendable {
        package let text: String
        package let lacks: [String]
    }

    package struct Reload: Decodable, Sendable {
        package let kernel: String?
        package let initrd: String?
        package let from: String?
        package let obstacle: String?
    }

    package struct Cost: Decodable, Sendable {
        package let bytesRead: Int
        package let microseconds: Int
    }

    package struct CoreHeader: Decodable, Sendable {
        package let place: Range
        package let entries: Int
    }

    package let verdict: String
    package let summary: String
    package let loader: String?
    package let coreHeader: CoreHeader?
    package let integrity: String
    package let commandLine: CommandLine?
    package let memory: Memory?
    package let cpus: Processors?
    package let kernelUpdates: Bool
    package let refresh: String
    package let obstacles: [String]
    package let patchObstacle: String?
    package let reload: Reload?
    package let audit: Cost?
}

extension Machine {
    /// Runs `kdump-hotplugd --check --json` and reads what it says.
    package func report() throws(GuestError) -> CheckReport {
        let json = try check("--json").output
        do {
            return try JSONDecoder().decode(CheckReport.self, from: Data(json.utf8))
        } catch {
            throw .garbled("\(error): \(json)")
        }
    }
}
