// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guest

/// How a machine changes at random until it crashes at a random moment, drawn from a seed; pure.
struct ChaosPlan {
    /// Who loads the crash kernel; consecutive seeds take turns.
    let loading: Loading
    /// When the crash comes, after the storm begins, in seconds of the guest's clock.
    let crash: Double
    /// How many MiB each DIMM has.
    let size: Int
    /// What changes next, and how many seconds later.
    let changes: [(change: MachineChange, pause: Double)]

    /// How long it is quiet at most between two changes, in seconds.
    private static let longestPause = 0.4
    /// How many DIMMs there are at most.
    static let dimms = 6
    /// How much memory there is at most by virtio-mem, in MiB, and in which steps it is asked for: half
    /// a memory block, so that blocks are there in part, too.
    static let virtioMemory = 1_024
    private static let virtioStep = 64

    /// Draws a plan.
    init(seed: UInt64) {
        loading = Loading.onPC[Int(seed % UInt64(Loading.onPC.count))]
        var dice = SeededGenerator(seed: seed)
        crash = Double.random(in: 0.3...7, using: &dice)
        size = 128 * Int.random(in: 1...4, using: &dice)
        changes = (0..<100).map { _ in
            (
                Self.change(using: &dice),
                Double.random(in: 0...Self.longestPause, using: &dice)
            )
        }
    }

    /// Of ten changes seven are DIMMs', two virtio-mem's, and one is a CPU's.
    private static func change(using dice: inout SeededGenerator) -> MachineChange {
        switch Int.random(in: 0..<10, using: &dice) {
        case 0: .processor
        case 1, 2:
            .virtioMemory(
                megabytes: Int.random(in: 0...4, using: &dice) * virtioStep)
        default: .dimm(Int.random(in: 0..<dimms, using: &dice))
        }
    }
}

/// What a machine had when it crashed, by its own last words; see Tests/GuestProbe/LastWords.swift.
struct LastWords {
    /// System RAM above the first MiB.
    let ram: [Range<UInt64>]
    /// Memory blocks that were in use.
    let online: [Range<UInt64>]
    /// How many CPUs were online.
    let processors: Int

    /// Finds them on a console; what was said last counts.
    init?(in console: String) {
        // A serial console ends its lines with CR and LF, which Swift takes for one character.
        let line = console.split(whereSeparator: \.isNewline).last { $0.contains("last words: ") }
        let words = line?.split(separator: " ").map(String.init) ?? []
        func spans(_ name: String) -> [Range<UInt64>]? {
            guard let place = words.firstIndex(of: name), place + 1 < words.count else {
                return nil
            }
            return words[place + 1].split(separator: ",").compactMap { span in
                let ends = span.split(separator: "-").compactMap { UInt64($0, radix: 16) }
                return ends.count == 2 ? ends[0]..<ends[1] + 1 : nil
            }
        }
        guard let ram = spans("ram"), let online = spans("online"),
            let place = words.firstIndex(of: "cpus"), place + 1 < words.count
        else { return nil }
        self.ram = ram.joined.aboveLegacy
        self.online = online
        processors = words[place + 1].split(separator: ",").reduce(0) { sum, span in
            let ends = span.split(separator: "-").compactMap { Int($0) }
            return sum + (ends.count == 2 ? ends[1] - ends[0] + 1 : 1)
        }
    }

    /// The function that held the kexec lock, by the trace at the end of a console; `nil` if none did.
    static func holder(in console: String) -> String? {
        guard let trace = console.range(of: "Dumping ftrace buffer", options: .backwards) else {
            return nil
        }
        var holders: Set<Substring> = []
        for line in console[trace.upperBound...].split(whereSeparator: \.isNewline) {
            for word in line.split(separator: " ") where word.hasSuffix(":") {
                let name = word.dropLast()
                if name.hasPrefix("taken_") { holders.insert(name.dropFirst("taken_".count)) }
                if name.hasPrefix("free_") { holders.remove(name.dropFirst("free_".count)) }
            }
        }
        return holders.first.map(String.init)
    }

    /// What the dump has too little or too much of; `nil` if it is as the machine was.
    ///
    /// Memory that is in no use, because it is coming or going, may be listed and need not be.
    func fault(of dump: Vmcore, reserved: [Range<UInt64>]) -> String? {
        let listed = dump.memory.aboveLegacy
        let usable = ram.subtracting(reserved)
        let needed = usable.subtracting(usable.subtracting(online))
        let missing = needed.subtracting(listed)
        let phantom = listed.subtracting(ram)
        if !missing.isEmpty { return "\(missing.megabytes) MiB missing" }
        if !phantom.isEmpty { return "\(phantom.megabytes) MiB that were gone" }
        return dump.processors < processors ? "\(dump.processors) of \(processors) CPUs" : nil
    }
}

extension [Range<UInt64>] {
    fileprivate var megabytes: Int { reduce(0) { $0 + $1.count } >> 20 }
}
