// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// The digest as work of a loop: in steps, each short, on an image that may change between them.
@Suite struct OwedDigestTests {
    /// A machine with an image, in files, and an engine that owes its digest.
    private struct Debtor {
        var loaded: LoadedMachine
        let machine: RecordedMachine
        var engine: Engine

        init(_ loaded: LoadedMachine) throws {
            self.loaded = loaded
            machine = try loaded.observable()
            engine = machine.engine()
        }

        /// Puts what is in memory now into the machine's files.
        func rewrite() throws { _ = try machine.file("/proc/kcore", Data(loaded.kcore)) }

        /// Does steps until there is none, or `most` are done; returns what the last one led to.
        mutating func work(atMost most: Int = 100) -> OwedDigest.Progress {
            var progress = OwedDigest.Progress.nothing
            for _ in 0..<most {
                progress = engine.computeOwedDigest()
                guard progress == .more else { break }
            }
            return progress
        }

        mutating func reconcile(
            on trigger: Trigger = .routine, verifies: Bool = false
        ) throws -> Engine.Reconciliation {
            try engine.reconcile(on: trigger, verifies: verifies) { 0 }
        }
    }

    @Test func isComputedBetweenLooks() throws {
        var debtor = try Debtor(LoadedMachine())
        let first = try debtor.reconcile(on: .hotplug, verifies: true)
        #expect(first.end == .settled && debtor.engine.savedState.owesDigest)
        #expect(first.look.byteCount < 0x2_0000, "the look itself does not compute it")
        // A look in between does not make it begin anew.
        #expect(debtor.work(atMost: 2) == .more)
        _ = try debtor.reconcile()
        #expect(debtor.work(atMost: 3) == .done && !debtor.engine.hasWork)
        let last = try debtor.reconcile()
        #expect(last.look.observation.image?.integrity == .verified && last.end == .settled)
        #expect(!debtor.engine.savedState.owesDigest && debtor.engine.savedState.digest != nil)
        #expect(!debtor.engine.hasWork)
        // It says nothing of later damage.
        #expect(try debtor.reconcile().look.observation.image?.integrity != .verified)
    }

    /// Nothing but the digest shows it, and it does not pass: later looks must not forget it.
    @Test func damageStaysKnownUntilAnotherImageComes() throws {
        var loaded = try LoadedMachine()
        let place = LoadedMachine.kernel.start + 0x100
        let byte = loaded.bytes(AddressRange(start: place, end: place + 1)).first ?? 0
        loaded.put([byte ^ 1], at: place)
        var debtor = try Debtor(loaded)
        #expect(try debtor.reconcile(verifies: true).look.verdict == .current)
        #expect(debtor.work() == .done)
        for _ in 0..<3 {
            let outcome = try debtor.reconcile()
            #expect(name(of: outcome.look.verdict) == "broken")
            #expect(outcome.end == .blocked(.noSource))
        }
        // Asking again does not make it forgotten either; a repaired image is found to be whole.
        #expect(name(of: try debtor.reconcile(verifies: true).look.verdict) == "broken")
        #expect(debtor.work() == .done)
        #expect(name(of: try debtor.reconcile().look.verdict) == "broken")
        debtor.loaded.put([byte], at: place)
        try debtor.rewrite()
        #expect(name(of: try debtor.reconcile(verifies: true).look.verdict) == "broken")
        #expect(debtor.work() == .done)
        #expect(try debtor.reconcile().look.verdict == .current)
        debtor.loaded.put([byte ^ 1], at: place)
        try debtor.rewrite()
        _ = try debtor.reconcile(verifies: true)
        #expect(debtor.work() == .done)
        #expect(name(of: try debtor.reconcile().look.verdict) == "broken")
        debtor.loaded = try LoadedMachine(coveringHeader: false)
        try debtor.rewrite()
        #expect(try debtor.reconcile().look.verdict == .current)
    }

    /// An image of the same form, with another digest, must not be taken for a damaged one.
    @Test(arguments: [1, 4]) func anImageThatIsReplacedMeanwhileIsBegunAnew(steps: Int) throws {
        var debtor = try Debtor(LoadedMachine())
        _ = try debtor.reconcile(verifies: true)
        #expect(debtor.work(atMost: steps) == .more)
        let place = LoadedMachine.initrd.start + 7
        debtor.loaded.put([0, 0], at: place)
        try debtor.loaded.writeDigest(
            LoadedMachine.segments.filter { $0 != LoadedMachine.purgatory })
        try debtor.rewrite()
        #expect(debtor.work() == .nothing && !debtor.engine.hasWork)
        #expect(try debtor.reconcile().look.verdict == .current && debtor.engine.hasWork)
        #expect(debtor.work() == .done)
        #expect(try debtor.reconcile().look.observation.image?.integrity == .verified)
    }

    /// What keeps moving is left until the next look.
    @Test func givesUpWhatKeepsMoving() throws {
        var debtor = try Debtor(LoadedMachine())
        _ = try debtor.reconcile(verifies: true)
        debtor.loaded.kimage = nil
        try debtor.rewrite()
        var steps = 0
        while debtor.work() != .nothing, steps < 100 { steps += 1 }
        #expect(steps == 11 && !debtor.engine.hasWork && debtor.engine.savedState.owesDigest)
    }

    /// Somebody may have put another image in the place of the patched one, by kexec's -i.
    @Test func nothingIsOwedToAnImageWithoutADigest() throws {
        var loaded = try LoadedMachine()
        loaded.put([UInt8](repeating: 0, count: RegionTable.byteCount), at: LoadedMachine.table)
        var debtor = try Debtor(loaded)
        let outcome = try debtor.reconcile(verifies: true)
        #expect(outcome.look.observation.image?.integrity == ResidentImage.Integrity.none)
        #expect(outcome.end == .settled && !debtor.engine.savedState.owesDigest)
        #expect(debtor.engine.computeOwedDigest() == .nothing)
    }

    /// A look that needs the digest at once goes on where the loop has stopped.
    @Test func aThoroughLookFinishesIt() throws {
        var debtor = try Debtor(LoadedMachine())
        _ = try debtor.reconcile(verifies: true)
        #expect(debtor.work(atMost: 2) == .more)
        var beats = 0
        debtor.engine.beat = { beats += 1 }
        let look = try debtor.engine.look(.thorough) { 0 }
        #expect(look.observation.image?.integrity == .verified && beats == 2)
        #expect(!debtor.engine.hasWork && !debtor.engine.savedState.owesDigest)
    }

    /// An image that is replaced again and again is not read a dozen times.
    @Test func aThoroughLookReadsAReplacedImageTwice() throws {
        let debtor = try Debtor(LoadedMachine())
        var audits = 0
        var engine = debtor.engine
        var other = debtor.loaded
        engine.beat = {
            // The last of the pieces is read: now somebody loads another.
            audits += 1
            other.put([UInt8(audits)], at: LoadedMachine.purgatory.start + 1)
            _ = try? debtor.machine.file("/proc/kcore", Data(other.kcore))
        }
        let look = try engine.look(.thorough) { 0 }
        #expect(look.observation.finding.reason?.contains("keeps changing") == true)
        #expect(audits == 8, "four pieces, twice")
    }
}
