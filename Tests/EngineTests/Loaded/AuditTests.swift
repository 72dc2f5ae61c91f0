// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// Whole audits of synthetic machines: what is found, what cannot be known, what is broken.
@Suite struct AuditTests {
    @Test func understandsAnImageOfTheKernels() throws {
        let report = try LoadedMachine().audit()
        let image = try #require(report.finding.value?.image)
        #expect(image.kimage.entry == LoadedMachine.entry && image.kimage.loader == .kernel)
        #expect(image.kimage.kernelKeepsUp == false && image.kimage.controlPage == 0x1000_8000)
        #expect(
            image.parts.map(\.role) == [.coreHeader, .initrd, .kernel, .bootParameters, .purgatory])
        #expect(image.parts.allSatisfy { $0.isListed })
        #expect(image.header.range == LoadedMachine.header)
        #expect(image.digest?.table == LoadedMachine.table)
        #expect(image.digest?.found?.place == LoadedMachine.digest)
        #expect(image.integrity == .verified && image.digestCoversHeader)
        #expect(image.commandLine == .known(LoadedMachine.commandLine))
        let coverage = try #require(report.coverage(of: try LoadedMachine().live).value)
        #expect(coverage.isExact)
        #expect(report.byteCount > 0x6_0000)
    }

    @Test func spendsLittleWithoutTheDigest() throws {
        let report = try LoadedMachine().audit(.cheap)
        let image = try #require(report.finding.value?.image)
        #expect(name(of: image.integrity) == "unknown")
        #expect(image.digest?.table == LoadedMachine.table && image.digest?.found == nil)
        #expect(report.byteCount < 0x2_0000)
    }

    @Test func knowsWhoKeepsItUp() throws {
        var machine = try LoadedMachine(coveringHeader: false)
        machine.kimage?.keepsUp = true
        var image = try #require(try machine.audit().finding.value?.image)
        #expect(image.kimage.kernelKeepsUp == true && !image.digestCoversHeader)
        machine.kimage?.isFromFiles = false
        machine.kimage?.keepsUp = false
        machine.types = SyntheticTypes.kernel(keepsUp: "update_elfcorehdr")
        image = try #require(try machine.audit().finding.value?.image)
        #expect(image.kimage.kernelKeepsUp == false && image.kimage.loader == .program)
        machine.kimage?.isFromFiles = true
        image = try #require(try machine.audit().finding.value?.image)
        #expect(image.kimage.kernelKeepsUp == true, "6.6 to 6.9: always, from files")
        machine.types = SyntheticTypes.kernel(keepsUp: nil)
        image = try #require(try machine.audit().finding.value?.image)
        #expect(image.kimage.kernelKeepsUp == nil)
    }

    /// The digest covers keys that the kernel hides: nothing is known of it, and nothing is wrong.
    @Test func hiddenKeysAreNoDamage() throws {
        var machine = try LoadedMachine()
        try machine.addKeys()
        var image = try #require(try machine.audit().finding.value?.image)
        #expect(image.integrity == .verified && image.hidesTargetKeys)
        machine.hideKeys()
        image = try #require(try machine.audit().finding.value?.image)
        #expect(name(of: image.integrity) == "unknown" && image.hidesTargetKeys)
        #expect(image.digest?.table == LoadedMachine.table && image.digest?.found == nil)
        machine.put([2], at: LoadedMachine.keys.start)
        image = try #require(try machine.audit().finding.value?.image)
        #expect(image.integrity == .mismatch, "what can be read and is not right is damage")
    }

    /// After a patch: of a header under the digest and one page of purgatory, and of the header alone.
    @Test(arguments: [true, false]) func findsWhatAPatchLeftUnlisted(covered: Bool) throws {
        var machine = try LoadedMachine(coveringHeader: covered)
        let start = LoadedMachine.table & ~4095
        let page = AddressRange(start: start, end: start + 4096)
        machine.kimage?.listed = covered ? [LoadedMachine.header, page] : [LoadedMachine.header]
        for depth in [Engine.Depth.thorough, .cheap] {
            let image = try #require(try machine.audit(depth).finding.value?.image)
            let roles = image.parts.filter { !$0.isListed }.map(\.role)
            #expect(roles.contains(.initrd) && roles.contains(.kernel))
            #expect(roles.contains(.bootParameters))
            let purgatory = image.parts.filter { $0.role == .purgatory }
            #expect(purgatory.filter(\.isListed).map(\.range) == (covered ? [page] : []))
            let whole = AddressRanges(purgatory.map(\.range))
            #expect(AddressRanges([LoadedMachine.purgatory]).subtracting(whole).isEmpty)
            #expect(image.digest?.table == LoadedMachine.table)
            #expect(image.commandLine == .known(LoadedMachine.commandLine))
            if depth == .thorough { #expect(image.integrity == .verified) }
        }
    }

    /// What is listed and what is not make up all of it, whatever a patch lists.
    @Test func losesNoPartOfAPart() throws {
        var machine = try LoadedMachine()
        let page = AddressRange(
            start: LoadedMachine.initrd.start + 4096, end: LoadedMachine.initrd.start + 8192)
        machine.kimage?.listed = [LoadedMachine.header, page]
        let image = try #require(try machine.audit().finding.value?.image)
        let whole = AddressRanges(image.parts.map(\.range))
        #expect(AddressRanges(LoadedMachine.segments).subtracting(whole).isEmpty)
        #expect(image.integrity == .verified)
    }

    @Test(arguments: [
        LoadedMachine.kernel.start + 5, LoadedMachine.initrd.end - 1, LoadedMachine.digest,
        LoadedMachine.table + 1, LoadedMachine.table + 24, LoadedMachine.header.start + 60,
    ])
    func noticesADamagedByte(at address: UInt64) throws {
        var machine = try LoadedMachine()
        let byte = machine.bytes(AddressRange(start: address, end: address + 1)).first ?? 0
        machine.put([byte ^ 0x10], at: address)
        let image = try #require(try machine.audit().finding.value?.image)
        #expect(image.integrity == .mismatch)
    }

    @Test func knowsImagesWithoutADigest() throws {
        var machine = try LoadedMachine()
        machine.put([UInt8](repeating: 0, count: 288), at: LoadedMachine.table)
        #expect(try machine.audit().finding.value?.image?.integrity == ResidentImage.Integrity.none)
        let arm = try LoadedMachine().audit(on: .arm64).finding.value?.image
        #expect(arm?.integrity == ResidentImage.Integrity.none)
        #expect(arm?.commandLine.value == nil)
    }

    @Test func tellsThatNothingIsLoaded() throws {
        var machine = try LoadedMachine()
        machine.kimage = nil
        #expect(try machine.audit().finding == .known(.nothing))
    }

    @Test(arguments: [
        "elfcorehdr=0x10001000 x", "console=ttyS0", "elfcorehdr=nonsense", "elfcorehdr=",
    ])
    func callsAWrongCommandLineBroken(line: String) throws {
        var machine = try LoadedMachine()
        machine.putParameters(line)
        guard case .known(.broken(let reason)) = try machine.audit().finding else {
            Issue.record("not broken: \(line)")
            return
        }
        #expect(reason.contains("elfcorehdr") || reason.contains("core header"))
    }

    @Test func callsAnUnreadableHeaderBroken() throws {
        var machine = try LoadedMachine()
        machine.put([1, 2, 3, 4], at: LoadedMachine.header.start)
        #expect(try machine.audit().finding.value.map { name(of: $0) } == "broken")
        // More entries than its room holds.
        machine = try LoadedMachine()
        machine.put([0xFF, 0x7F], at: LoadedMachine.header.start + 56)
        #expect(try machine.audit().finding.value.map { name(of: $0) } == "broken")
    }
}

/// What keeps an audit from knowing anything, each with its reason.
@Suite struct UnknowableTests {
    private func expect(_ words: String, of machine: LoadedMachine) throws {
        let reason = try machine.audit().finding.reason
        #expect(reason?.contains(words) == true, "\(reason ?? "known")")
    }

    @Test func neverTakesHiddenMemoryForDamage() throws {
        var machine = try LoadedMachine()
        machine.memory = [UInt8](repeating: 0, count: machine.memory.count)
        try expect("zeros", of: machine)
        var generator = Repeatable(3)
        machine.memory = machine.memory.map { _ in .random(in: 0...255, using: &generator) }
        try expect("encrypted", of: machine)
    }

    @Test func saysWhatHidesTheKernel() throws {
        var machine = try LoadedMachine()
        machine.symbols = "0000000000000000 B kexec_crash_image\n"
        try expect("kptr_restrict", of: machine)
        machine = try LoadedMachine()
        machine.types = []
        try expect("BTF", of: machine)
        machine = try LoadedMachine()
        machine.symbols = "ffffffff92000040 B kexec_crash_image\n"
        try expect("/proc/kcore does not map", of: machine)
    }

    @Test(arguments: [
        ("/proc/kcore", "CONFIG_PROC_KCORE"), ("/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"),
    ])
    func saysWhatIsNotThere(file: String, words: String) throws {
        let machine = try LoadedMachine()
        let recorded = try machine.recorded()
        try recorded.remove(file)
        var audit = Audit(below: recorded.root, architecture: .x86)
        let report = audit.run(
            reserved: [LoadedMachine.reserved], live: machine.live, notes: machine.notes)
        #expect(report.finding.reason?.contains(words) == true)
        #expect(report.coverage(of: machine.live).value == nil)
    }

    @Test func refusesAKimageThatCannotBe() throws {
        var machine = try LoadedMachine()
        machine.kimage?.listed.append(AddressRange(start: 0x2000_0000, end: 0x2000_1000))
        try expect("outside", of: machine)
        machine = try LoadedMachine()
        machine.kimage?.listed.append(AddressRange(start: 0x1000_4000, end: 0x1000_4000))
        try expect("an invalid segment", of: machine)
        machine = try LoadedMachine()
        machine.kimage?.listed = []
        try expect("does not point", of: machine)
        machine = try LoadedMachine()
        machine.kimage?.entryAddress = 0
        try expect("the entry of the crash image", of: machine)
    }

    /// Nothing in the kernel's files may bring the auditor down.
    @Test func survivesDamage() throws {
        var generator = Repeatable(11)
        let whole = try LoadedMachine()
        let recorded = try whole.recorded()
        let kcore = whole.kcore
        for round in 0..<300 {
            var bytes = kcore
            // The first pages hold all structures but those inside the image.
            let (start, size) = round % 2 == 0 ? (0, 8192) : (8192, 4096)
            let damaged = Array(bytes[start..<start + size]).flipped(4, using: &generator)
            bytes.replaceSubrange(start..<start + size, with: damaged)
            _ = try recorded.file("/proc/kcore", Data(bytes))
            var audit = Audit(below: recorded.root, architecture: .x86)
            _ = audit.run(
                reserved: [LoadedMachine.reserved], live: whole.live, notes: whole.notes)
        }
    }
}
