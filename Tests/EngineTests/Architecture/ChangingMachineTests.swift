// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// A machine that no patch can describe for a moment, because a CPU has only begun to come.
@Suite struct ChangingMachineTests {
    /// A CPU that is coming is present before the device tree names it: no reload, until that lasts.
    @Test func waitsForAMachineThatIsChanging() throws {
        var machine = try POWERMachine(page: 4096)
        let old = nodes(of: try machine.recorded())
        machine.cores.append([16])
        let recorded = try machine.recorded()
        let node = try #require(nodes(of: recorded).subtracting(old).first)
        try recorded.remove("/proc/device-tree/cpus/\(node)")
        var engine = Engine(
            root: recorded.root, source: nil, architecture: .power(pageSize: machine.page))
        func outcome(
            _ time: UInt64, _ trigger: Trigger = .hotplug
        ) throws -> Engine.Reconciliation {
            try engine.reconcile(on: trigger) { time }
        }
        func isWaiting(_ outcome: Engine.Reconciliation) -> Bool {
            guard case .changing(let reason) = outcome.end else { return false }
            return reason.contains("does not name CPU 2") && outcome.refreshes.isEmpty
        }
        #expect(isWaiting(try outcome(7, .event)))
        #expect(isWaiting(try outcome(6 + Engine.longestChange)))
        let last = try outcome(7 + Engine.longestChange)
        #expect(last.end == .blocked(.noSource))
        #expect(last.unpatched?.description.contains("does not name CPU 2") == true)
        // What has lasted once is not waited for again.
        #expect(try outcome(100_000_000).end == .blocked(.noSource))
        // A change that is taken back is forgotten.
        let present = "/sys/devices/system/cpu/present"
        engine = Engine(
            root: recorded.root, source: nil, architecture: .power(pageSize: machine.page))
        #expect(isWaiting(try outcome(0)))
        try recorded.write("0-1\n", to: present)
        #expect(try outcome(1).end == .settled)
        try recorded.write("0-2\n", to: present)
        #expect(isWaiting(try outcome(Engine.longestChange)))
    }

    private func nodes(of machine: RecordedMachine) -> Set<String> {
        Set(machine.root.names(in: "/proc/device-tree/cpus"))
    }
}
