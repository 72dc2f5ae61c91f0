// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// Which looks are repeated because the next one may show more, and which are not because it
/// cannot.
@Suite struct RetryTests {
    /// Something that keeps a look from seeing the whole image, and whether it may pass: at a look
    /// after one that saw the image, and at a look after one that did not.
    struct Row: CustomTestStringConvertible {
        let testDescription: String
        var afterImage = false
        var afterNone = false
        var adjust: @Sendable (inout LoadedMachine) -> Void = { _ in }
        var rewrite: @Sendable (RecordedMachine) throws -> Void = { _ in }

        /// What may pass whatever was seen before.
        static func passing(
            _ what: String, _ adjust: @escaping @Sendable (inout LoadedMachine) -> Void = { _ in },
            rewrite: @escaping @Sendable (RecordedMachine) throws -> Void = { _ in }
        ) -> Row {
            Row(
                testDescription: what, afterImage: true, afterNone: true, adjust: adjust,
                rewrite: rewrite)
        }

        /// What does not pass.
        static func lasting(
            _ what: String, _ adjust: @escaping @Sendable (inout LoadedMachine) -> Void = { _ in },
            rewrite: @escaping @Sendable (RecordedMachine) throws -> Void = { _ in }
        ) -> Row {
            Row(testDescription: what, adjust: adjust, rewrite: rewrite)
        }
    }

    static let rows: [Row] = [
        .lasting("a whole image"),
        // A kernel that updates the image hides it for a moment.
        .passing("no image although one is loaded") { $0.kimage = nil },
        Row(
            testDescription: "nothing loaded", afterImage: true,
            rewrite: { machine in
                try machine.write("0\n", to: "/sys/kernel/kexec_crash_loaded")
            }),
        Row(
            testDescription: "a broken core header", afterImage: true,
            adjust: { machine in
                machine.put([1, 2, 3, 4], at: LoadedMachine.header.start)
            }),
        // The layout of kcore moves when memory comes or goes.
        .passing("an address that kcore does not map") {
            $0.symbols = "ffffffff92000040 B kexec_crash_image\n"
        },
        .passing("reserved memory that kcore does not contain") { $0.memory = [] },
        .passing(
            "a kcore that cannot be read just now",
            rewrite: { machine in
                try machine.remove("/proc/kcore")
                try machine.write("", to: "/proc/kcore/directory")
            }),
        .lasting("no kcore", rewrite: { try $0.remove("/proc/kcore") }),
        .lasting("a kcore that is none", rewrite: { try $0.write("none", to: "/proc/kcore") }),
        .lasting("memory that reads as zeros") { machine in
            machine.memory = [UInt8](repeating: 0, count: machine.memory.count)
        },
        .lasting("symbols without addresses") {
            $0.symbols = "0000000000000000 B kexec_crash_image\n"
        },
        .lasting("no such symbol") { $0.symbols = "" },
        .lasting("no type information", rewrite: { try $0.remove("/sys/kernel/btf/vmlinux") }),
        .lasting("segments outside reserved memory") {
            $0.kimage?.listed.append(AddressRange(start: 0x2000_0000, end: 0x2000_1000))
        },
        .lasting(
            "a memory map without addresses",
            rewrite: { machine in
                try machine.write("00000000-00000000 : System RAM\n", to: "/proc/iomem")
            }),
    ]

    @Test(arguments: rows) func onlyWhatMayPassIsLookedAtAgain(row: Row) throws {
        var machine = try LoadedMachine()
        row.adjust(&machine)
        let recorded = try machine.recorded()
        try recorded.write(
            "00100000-3fffffff : System RAM\n  10000000-100fffff : Crash kernel\n",
            to: "/proc/iomem")
        try recorded.write("0-1\n", to: "/sys/devices/system/cpu/present")
        try recorded.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
        try row.rewrite(recorded)
        // An engine that has just started expects an image.
        var engine = Engine(root: recorded.root, source: nil, architecture: .x86)
        #expect(try isRepeated(&engine) == row.afterImage)
        let another = try engine.look(.cheap) { 0 }
        guard another.observation.image == nil, another.verdict != .current else { return }
        #expect(try isRepeated(&engine) == (seenNone(another) ? row.afterNone : row.afterImage))
    }

    /// Whether a look was known to show no image, or none that is whole.
    private func seenNone(_ look: Engine.Look) -> Bool { look.observation.finding.value != nil }

    /// Whether the engine looks more than once: each time it asks twice for the time.
    private func isRepeated(_ engine: inout Engine) throws -> Bool {
        var questions = 0
        _ = try engine.look(.cheap) {
            questions += 1
            return 0
        }
        return questions > 2
    }

    /// What becomes of a look into reserved memory, or of one that reads nothing, while `/proc/kcore` becomes
    /// `later`.
    private func observe(
        becoming later: (inout [UInt8]) -> Void, reading: Bool = true
    ) throws -> Unknowable? {
        let machine = try LoadedMachine()
        let recorded = try machine.recorded()
        var kcore = machine.kcore
        later(&kcore)
        do throws(Unknowable) {
            try Kcore.observe(below: recorded.root) { file throws(Unknowable) in
                if reading { _ = try file.bytes(16, at: LoadedMachine.header.start) }
                _ = try? recorded.file("/proc/kcore", Data(kcore))
            }
            return nil
        } catch {
            return error
        }
    }

    private static let firstEntry = 64
    private static let entry = 56

    @Test func aLayoutThatMovesVoidsWhatWasSeen() throws {
        // The entry of reserved memory is the third; its offset is at 8.
        let place = Self.firstEntry + 2 * Self.entry + 8
        let moved = try observe(becoming: { $0.set(UInt64(0x3000), at: place) })
        #expect(moved?.mayPass == true && moved?.reason.contains("keeps changing") == true)
        let shrunk = try observe(becoming: { $0.set(UInt64(1), at: place + 24) })
        #expect(shrunk?.mayPass == true)
        #expect(Kimage.replaced.mayPass)
    }

    /// Each block of a DIMM that comes changes the layout, and not where the image is.
    @Test func memoryThatComesElsewhereVoidsNothing() throws {
        func addEntry(_ kcore: inout [UInt8]) {
            kcore.set(UInt16(4), at: 56)
            kcore.set(UInt32(1), at: Self.firstEntry + 3 * Self.entry)
        }
        #expect(try observe(becoming: addEntry) == nil)
        #expect(try observe(becoming: addEntry, reading: false)?.mayPass == true)
    }
}
