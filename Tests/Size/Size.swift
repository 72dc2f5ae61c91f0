// SPDX-License-Identifier: Apache-2.0

import Glibc

@testable import Engine

/// Measures every pure step of a look and of a patch on machines larger than any that can be had.
///
///     Size FILE
///
/// It measures natively and judges nothing. Each step is repeated on machines of a half and a quarter
/// of the size, because what grows faster than n log n shows there first.
@main
enum Size {
    /// How often each step is measured; the median counts.
    private static let rounds = 5

    static func main() throws {
        guard let file = CommandLine.arguments.dropFirst().first else {
            print("usage: Size FILE")
            exit(2)
        }
        var lines = ["step,cpus,ranges,blocks,us"]
        for scale in [4, 2, 1] {
            let machine = try HugeMachine(
                cpus: 8_192 / scale, ranges: 8_192 / scale, blocksInRange: 64)
            for step in machine.steps {
                lines.append(
                    "\(step.name),\(machine.cpus),\(machine.ranges),\(machine.blocks.count),"
                        + "\(try microseconds(step.run))")
            }
        }
        let text = lines.joined(separator: "\n") + "\n"
        print(text, terminator: "")
        guard let out = fopen(file, "w") else {
            perror(file)
            exit(1)
        }
        fputs(text, out)
        fclose(out)
    }

    /// How long a step takes, in microseconds: the median.
    private static func microseconds(_ step: () throws -> Void) rethrows -> UInt64 {
        let times = try (0..<rounds).map { _ in
            let begin = MonotonicClock.microseconds()
            try step()
            return MonotonicClock.microseconds() - begin
        }
        return times.sorted()[rounds / 2]
    }
}
