// SPDX-License-Identifier: Apache-2.0

@testable import Engine

/// A machine with the kdump service of one family of distributions, made of the files its rules name.
struct ConfiguredMachine {
    let machine: RecordedMachine
    private let architecture: Architecture

    /// Makes a machine that runs kernel 6.1.0-9 and has these files beside.
    init(_ files: [String: String], on architecture: Architecture = .x86) throws {
        self.architecture = architecture
        let usual = [
            "/proc/sys/kernel/osrelease": "6.1.0-9\n",
            "/proc/cmdline": "BOOT_IMAGE=(hd0,gpt2)/vmlinuz-6.1.0-9 root=/dev/sda1 ro quiet\n",
            "/proc/cpuinfo":
                "processor\t: 0\ncpu cores\t: 2\napicid\t\t: 4\ninitial apicid\t: 6\n\n"
                + "processor\t: 1\napicid\t\t: 5\ninitial apicid\t: 7\n",
        ]
        machine = try RecordedMachine(
            RecordedMachine.stock.merging(usual) { $1 }.merging(files) { $1 })
    }

    /// What is found, with paths as the machine sees them.
    func found() throws(Obstacle) -> (kernel: String, initrd: String?, commandLine: Fact<String>) {
        let found = try Configuration.find(named: nil, below: machine.root, on: architecture)
        let prefix = machine.root.prefix.count
        return (
            String(found.source.kernel.dropFirst(prefix)),
            found.source.initrd.map { String($0.dropFirst(prefix)) }, found.commandLine
        )
    }

    /// The obstacle that keeps anything from being found.
    var obstacle: Obstacle? {
        do throws(Obstacle) {
            _ = try found()
            return nil
        } catch {
            return error
        }
    }
}
