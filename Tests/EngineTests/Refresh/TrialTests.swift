// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// Which files are tried before a reload, and what is known of them afterwards.
@Suite struct TrialTests {
    /// The sizes that a kernel's header has in its file and, copied, in memory.
    private static func sizes(_ bytes: inout [UInt8], payload: UInt32 = 0x1000) {
        bytes[0x1F1] = 3
        bytes.set(UInt32(0x200), at: 0x1F4)
        bytes.set(UInt32(0x2CC), at: 0x248)
        bytes.set(payload, at: 0x24C)
        bytes.set(UInt32(1 << 16), at: 0x260)
    }

    private static var kernel: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 8192)
        bytes.set(UInt16(0xAA55), at: 0x1FE)
        bytes.set(UInt32(0x5372_6448), at: 0x202)
        bytes.set(UInt16(0x020F), at: 0x206)
        bytes.set(UInt16(0b11), at: 0x236)
        bytes.set(UInt32(2047), at: 0x238)
        sizes(&bytes)
        return bytes
    }

    /// A machine with an image that was made of a kernel and an initrd of 5 bytes.
    private struct Case {
        var payload: UInt32 = 0x1000
        var initrdSize = 5
        var isByKernel = true
        var files: [String: String] = [:]
        /// How trials of these files have ended before.
        var known: [CInt] = []

        /// Prepares a reload of the kernel and an initrd of 5 bytes.
        func prepare() throws -> Result<Reload, Obstacle> {
            var loaded = try LoadedMachine()
            let named = "elfcorehdr=0x10000000"
            let line = isByKernel ? "\(named) by=hand" : "by=hand \(named)"
            loaded.putParameters(line)
            var page = Array(loaded.bytes(LoadedMachine.parameters))
            TrialTests.sizes(&page, payload: payload)
            page.set(UInt32(initrdSize), at: 0x21C)
            loaded.put(page, at: LoadedMachine.parameters.start)
            let machine = try loaded.recorded()
            let iomem =
                "00100000-3fffffff : System RAM\n  10000000-1fffffff : Crash kernel\n"
            try machine.write(iomem, to: "/proc/iomem")
            try machine.write("0-1\n", to: "/sys/devices/system/cpu/present")
            try machine.write("1\n", to: "/sys/kernel/kexec_crash_loaded")
            for (path, contents) in files { try machine.write(contents, to: path) }
            let place = try machine.file("/boot/vmlinuz", Data(TrialTests.kernel))
            let disk = try machine.file("/boot/initrd", Data(count: 5))
            let configuration = Configuration(
                kernel: place, initrd: disk, commandLine: .known("by=file"), by: "/etc/f")
            var engine = Engine(root: machine.root, source: nil, architecture: .x86)
            let seen = try engine.look(.cheap, now: { 0 }).observation
            return Result { () throws(Obstacle) in
                var memory = Reload.Memory()
                let first = try Reload.prepare(
                    .success(configuration), remembering: memory, insteadOf: seen)
                for errno in known { memory.trials.note(first.subject, errno) }
                return try Reload.prepare(
                    .success(configuration), remembering: memory, insteadOf: seen)
            }
        }
    }

    @Test func whatTheKernelMadeOfTheSameFilesIsNotTried() throws {
        let reload = try Case().prepare().get()
        #expect(!reload.needsTrial && reload.replacement == nil)
        #expect(reload.commandLine == "by=hand")
    }

    @Test func whatAProgramMadeIsTried() throws {
        let reload = try Case(isByKernel: false).prepare().get()
        #expect(reload.needsTrial && reload.replacement == nil)
        #expect(try !Case(isByKernel: false, known: [0]).prepare().get().needsTrial)
    }

    @Test func otherFilesAreTriedAndGoWithTheirCommandLine() throws {
        let kernel = try Case(payload: 0x1001).prepare().get()
        #expect(kernel.needsTrial && kernel.commandLine == "by=file")
        #expect(kernel.replacement == .kernel(resident: nil, configured: nil))
        let initrd = try Case(initrdSize: 6).prepare().get()
        #expect(initrd.needsTrial && initrd.commandLine == "by=file")
        #expect(initrd.replacement == .initrd(resident: 6, configured: 5))
    }

    @Test func whatWasRefusedIsNotLoaded() throws {
        let refused = try Case(isByKernel: false, known: [EACCES]).prepare()
        guard case .failure(.refused(_, "Permission denied")) = refused else {
            Issue.record("\(refused)")
            return
        }
        // What says nothing of the files is not kept, and the last word counts.
        for passing in [EBUSY, ENOMEM, EINTR] {
            #expect(try Case(isByKernel: false, known: [passing]).prepare().get().needsTrial)
        }
        #expect(try !Case(isByKernel: false, known: [EACCES, 0]).prepare().get().needsTrial)
        var trials = Trials()
        let subject = try Case().prepare().get().subject
        trials.note(subject, EACCES)
        trials.forgetRefusals()
        #expect(trials.refusal(of: subject) == nil)
    }

    @Test(arguments: [
        ("/sys/kernel/kexec_loaded", "1\n"), ("/proc/sys/kernel/kexec_load_limit_reboot", "2\n"),
    ])
    func whatCannotBeTriedIsNotRisked(path: String, contents: String) throws {
        let barred = try Case(isByKernel: false, files: [path: contents]).prepare()
        guard case .failure(.untried) = barred else {
            Issue.record("\(barred)")
            return
        }
        #expect(try !Case(files: [path: contents]).prepare().get().needsTrial)
        // Where nothing is loaded, there is nothing to lose.
        let files = [path: contents, "/sys/kernel/kexec_crash_loaded": "0\n"]
        #expect(try !Case(isByKernel: false, files: files).prepare().get().needsTrial)
    }

    @Test func anotherPolicyIsAnotherSubject() throws {
        let subject = try Case().prepare().get().subject
        var trials = Trials()
        trials.note(subject, 0)
        for (lockdown, hasAddedRules) in [
            (KernelSupport.Lockdown.integrity, false), (.none, true),
        ] {
            let other = Trial.Subject(
                kernel: subject.kernel, initrd: subject.initrd, lockdown: lockdown,
                hasAddedRules: hasAddedRules)
            #expect(trials.refusal(of: subject) == 0 && trials.refusal(of: other) == nil)
        }
    }

    /// IMA's rules may have come after the load, and the file into which they are written goes then.
    @Test func whatWasTakenBeforeIMAWasGivenRulesIsTried() throws {
        let ima = "/sys/kernel/security/ima/"
        let none = [ima + "violations": "0\n", ima + "policy": ""]
        #expect(try !Case(files: none).prepare().get().needsTrial)
        let some = [ima + "violations": "0\n"]
        #expect(try Case(files: some).prepare().get().needsTrial)
        #expect(try !Case(files: some, known: [0]).prepare().get().needsTrial)
    }
}
