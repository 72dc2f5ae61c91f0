// SPDX-License-Identifier: Apache-2.0

import Guest

/// What happens to the machine in one round of a soak, drawn from the round's seed; pure.
struct SoakPlan {
    /// One change, and what it does to a guest.
    enum Step: CustomStringConvertible {
        case addMemory(id: String, megabytes: Int)
        case removeMemory(id: String)
        case addCPU(socket: Int)
        case removeCPU(socket: Int)
        case restartDaemon

        var description: String {
            switch self {
            case .addMemory(let id, let megabytes): "+\(id) (\(megabytes) MiB)"
            case .removeMemory(let id): "-\(id)"
            case .addCPU(let socket): "+cpu-\(socket)"
            case .removeCPU(let socket): "-cpu-\(socket)"
            case .restartDaemon: "restart"
            }
        }

        /// Makes the change, and waits until the guest has followed it.
        func make(in guest: Machine) throws(GuestError) {
            switch self {
            case .addMemory(let id, let megabytes): try guest.hotAdd(megabytes: megabytes, id: id)
            case .removeMemory(let id): try guest.hotRemove(id)
            case .addCPU(let socket): try guest.hotAddCPU(socket: socket)
            case .removeCPU(let socket): try guest.hotRemoveCPU(socket: socket)
            case .restartDaemon: try guest.startDaemon()
            }
        }
    }

    /// Who loads the crash kernel; consecutive seeds take turns.
    let loading: Loading
    /// One to five, one more where without it nothing would call for a patch.
    private(set) var steps: [Step] = []
    /// What is plugged in at the moment of drawing.
    private var dimms: [String] = []
    /// How many DIMMs there have been; names are not used again.
    private var allDimms = 0
    /// The last socket that has a CPU; the machine has four, from 0.
    ///
    /// They are filled in turn and emptied in reverse: QEMU 7.2 does not deliver an interrupt to a CPU
    /// behind an empty socket if it is addressed to a set of CPUs (hw/intc/apic.c,
    /// `apic_get_delivery_bitmask` ends at the gap), and so not the one that asks it to stop for a
    /// dump. The source of 10.0.13 is mended.
    private var lastSocket = 1
    /// How often a CPU has been plugged in; a third is one too many: ``Machine/hotAddCPU(socket:online:)``.
    private var addedCPUs = 0

    /// Draws a plan for a kernel.
    init(seed: UInt64, on kernel: Kernel) {
        loading = Loading.onPC[Int(seed % UInt64(Loading.onPC.count))]
        var dice = SeededGenerator(seed: seed)
        for _ in 0..<Int.random(in: 1...5, using: &dice) { draw(&dice) }
        // Such a kernel takes over what is added by itself, and forgets only what is removed.
        let needsRemoval = kernel != .v6_1 && loading == .kernel
        let callsForPatch = steps.contains { step in
            switch step {
            case .addMemory: !needsRemoval
            case .removeMemory: true
            case .addCPU, .removeCPU, .restartDaemon: false
            }
        }
        if callsForPatch { return }
        if dimms.isEmpty { addMemory(&dice) }
        if needsRemoval { removeMemory(&dice) }
    }

    private mutating func draw(_ dice: inout SeededGenerator) {
        var ways: [(inout SoakPlan, inout SeededGenerator) -> Void] = [
            { $0.addMemory(&$1) }, { plan, _ in plan.steps.append(.restartDaemon) },
        ]
        if addedCPUs < 2 { ways.append { plan, _ in plan.addCPU() } }
        if !dimms.isEmpty { ways.append { $0.removeMemory(&$1) } }
        if lastSocket > 1 { ways.append { plan, _ in plan.removeCPU() } }
        ways.randomElement(using: &dice)?(&self, &dice)
    }

    private mutating func addMemory(_ dice: inout SeededGenerator) {
        allDimms += 1
        dimms.append("dimm-\(allDimms)")
        let megabytes = 128 * Int.random(in: 1...8, using: &dice)
        steps.append(.addMemory(id: "dimm-\(allDimms)", megabytes: megabytes))
    }

    private mutating func removeMemory(_ dice: inout SeededGenerator) {
        let id = dimms.remove(at: Int.random(in: dimms.indices, using: &dice))
        steps.append(.removeMemory(id: id))
    }

    private mutating func addCPU() {
        lastSocket += 1
        addedCPUs += 1
        steps.append(.addCPU(socket: lastSocket))
    }

    private mutating func removeCPU() {
        steps.append(.removeCPU(socket: lastSocket))
        lastSocket -= 1
    }
}
