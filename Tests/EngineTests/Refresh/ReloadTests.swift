// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine

/// What bars a reload before anything is dropped: files that are not what they should be.
///
/// The kernel of the machine that runs the tests is never asked to load anything: all of these end
/// before the system call. That the image in place then stays is shown in guests.
@Suite struct ReloadTests {
    /// The start of an x86 kernel as `bzImage64_probe` wants it: 32 MiB of memory, 2047 bytes of
    /// command line, no signature.
    private static var kernel: Data {
        var bytes = Data(count: 8_192)
        func put(_ value: UInt64, at offset: Int, size: Int) {
            for index in 0..<size { bytes[offset + index] = UInt8(value >> (8 * index) & 0xFF) }
        }
        put(0xAA55, at: 0x1FE, size: 2)
        put(0x5372_6448, at: 0x202, size: 4)
        put(0x020F, at: 0x206, size: 2)
        put(0b11, at: 0x236, size: 2)
        put(2_047, at: 0x238, size: 4)
        put(32 << 20, at: 0x260, size: 4)
        return bytes
    }

    private func obstacle(
        kernel: Data? = kernel, initrd: Data? = Data([1]), commandLine: String? = "nr_cpus=1",
        files: [String: String] = [:]
    ) throws -> Obstacle? {
        let machine = try RecordedMachine(
            RecordedMachine.stock.merging(files) { $1 })
        let place = try kernel.map { try machine.file("/boot/vmlinuz", $0) }
        let disk = try initrd.map { try machine.file("/boot/initrd", $0) }
        let source = ImageSource(
            kernel: place ?? machine.root.path("/boot/vmlinuz"),
            initrd: disk ?? machine.root.path("/boot/initrd"), commandLine: commandLine)
        var engine = Engine(root: machine.root, source: source, architecture: .x86)
        return engine.ways(given: try engine.look(.cheap, now: { 0 })).reload
    }

    @Test func nothingBarsARightOne() throws {
        #expect(try obstacle() == nil)
    }

    @Test func filesThatAreNotThere() throws {
        let kernel = try #require(try obstacle(kernel: nil))
        #expect(name(of: kernel) == "unreadable")
        #expect("\(kernel)".contains("/boot/vmlinuz"))
        #expect("\(kernel)".contains("No such file or directory"))
        let initrd = try #require(try obstacle(initrd: nil))
        #expect(name(of: initrd) == "unreadable")
        #expect("\(initrd)".contains("/boot/initrd"))
        #expect("\(initrd)".contains("No such file or directory"))
    }

    @Test func filesThatAreEmptyOrNoFiles() throws {
        let kernel = try #require(try obstacle(kernel: Data()))
        #expect(name(of: kernel) == "empty")
        #expect("\(kernel)".contains("/boot/vmlinuz"))
        let initrd = try #require(try obstacle(initrd: Data()))
        #expect(name(of: initrd) == "empty")
        #expect("\(initrd)".contains("/boot/initrd"))
        let machine = try RecordedMachine(RecordedMachine.stock)
        let source = ImageSource(kernel: "/dev/null", initrd: nil, commandLine: "")
        var engine = Engine(root: machine.root, source: source, architecture: .x86)
        let look = try engine.look(.cheap, now: { 0 })
        #expect(engine.ways(given: look).reload == .notAFile(.kernel, path: "/dev/null"))
    }

    @Test func filesThatAreNoKernels() throws {
        for offset in [0x1FE, 0x202, 0x236] {
            var damaged = ReloadTests.kernel
            damaged[offset] ^= 1
            let found = try #require(try obstacle(kernel: damaged))
            #expect(name(of: found) == "notAKernel", "byte \(offset)")
        }
        for length in [1, 0x1FF, 0x237, 0x263] {
            let found = try #require(try obstacle(kernel: ReloadTests.kernel.prefix(length)))
            #expect(name(of: found) == "notAKernel", "\(length) bytes")
        }
    }

    @Test func whatTheMachineForbids() throws {
        let disabled = ["/proc/sys/kernel/kexec_load_disabled": "1\n"]
        #expect(try obstacle(files: disabled) == .loadingDisabled)
        let spent = ["/proc/sys/kernel/kexec_load_limit_panic": "0\n"]
        #expect(try obstacle(files: spent) == .noLoadsLeft)
        let left = ["/proc/sys/kernel/kexec_load_limit_panic": "2\n"]
        #expect(try obstacle(files: left) == nil)
        let last = ["/proc/sys/kernel/kexec_load_limit_panic": "1\n"]
        #expect(try obstacle(files: last) == .lastLoad, "nobody knows whether the image is stale")
        let locked = ["/sys/kernel/security/lockdown": "none [integrity] confidentiality\n"]
        #expect(name(of: try #require(try obstacle(files: locked))) == "unsigned")
    }

    @Test func whereTheKernelLoadsNoFiles() throws {
        func obstacle(_ loader: Reload.Loader, lockdown: String = "none") throws -> Obstacle? {
            let machine = try RecordedMachine(
                RecordedMachine.stock.merging([
                    "/sys/kernel/security/lockdown": "[\(lockdown)] other\n"
                ]) { $1 })
            var engine = Engine(root: machine.root, source: nil, architecture: .x86)
            let seen = try engine.look(.cheap, now: { 0 }).observation
            let source = ImageSource(
                kernel: try machine.file("/boot/vmlinuz", ReloadTests.kernel), initrd: nil,
                commandLine: "nr_cpus=1")
            do throws(Obstacle) {
                let reload = try Reload.prepare(
                    .success(Configuration(named: source)),
                    remembering: Reload.Memory(loader: loader), insteadOf: seen)
                #expect(reload.needsTrial == (loader == .kernel), "there is no policy to ask")
                return nil
            } catch {
                return error
            }
        }
        #expect(try obstacle(.kernel) == nil)
        #expect(try obstacle(.program) == nil)
        #expect(try obstacle(.missing) == .noLoader)
        #expect(try obstacle(.program, lockdown: "integrity") == .lockedDown)
        #expect(try obstacle(.own, lockdown: "integrity") == .lockedDown)
    }

    /// The kernel has dropped the image in place before it refuses a `kexec_load`: not twice.
    @Test func aLoadOfOurOwnThatFailedForGoodIsNotRepeated() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        let seen = try engine.look(.cheap, now: { 0 }).observation
        let source = ImageSource(
            kernel: try machine.file("/boot/vmlinuz", ReloadTests.kernel), initrd: nil,
            commandLine: "nr_cpus=1")
        var memory = Reload.Memory(loader: .own)
        func prepare() throws(Obstacle) -> Reload {
            try Reload.prepare(
                .success(Configuration(named: source)), remembering: memory, insteadOf: seen)
        }
        let subject = try prepare().subject
        memory.trials.note(subject, ENOMEM)
        _ = try prepare()
        memory.trials.note(subject, EADDRNOTAVAIL)
        #expect(
            throws: Obstacle.notMade(because: "kexec_load: Cannot assign requested address")
        ) { try prepare() }
    }

    /// Of two reserved ranges the lower one is for devices, however large.
    @Test func anImageGoesIntoTheHigherRange() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        var seen = try engine.look(.cheap, now: { 0 }).observation
        let high = AddressRange(start: 0x1_0000_0000, end: 0x1_0100_0000)
        seen.reserved = .known([AddressRange(start: 0x3000_0000, end: 0x4000_0000), high])
        #expect(seen.crashRange == high)
    }

    @Test func thatTheKernelLoadsNoFilesIsKept() throws {
        var saved = Engine.SavedState()
        saved.loadsNoFiles = true
        saved = try JSONDecoder().decode(
            Engine.SavedState.self, from: try JSONEncoder().encode(saved))
        let machine = try RecordedMachine(RecordedMachine.stock)
        let source = ImageSource(
            kernel: try machine.file("/boot/vmlinuz", ReloadTests.kernel), initrd: nil,
            commandLine: "nr_cpus=1")
        var engine = Engine(
            root: machine.root, source: source, savedState: saved, architecture: .x86)
        let look = try engine.look(.cheap, now: { 0 })
        #expect(engine.ways(given: look).reload == .noLoader)
        try machine.write("", to: "/usr/sbin/kexec")
        #expect(engine.ways(given: look).reload == nil)
    }

    /// The way from the files to the program and back; real programs are started in guests.
    @Test func aProgramIsToldWhatToLoad() throws {
        let load = ProgramLoad(kernel: 3, initrd: nil, commandLine: "nr_cpus=1")
        var told: [ProgramLoad] = []
        let done = load.run { order in
            told.append(order)
            return nil
        }
        #expect(done.errno == 0)
        #expect(told.map(\.kernel) == [3] && told.map(\.commandLine) == ["nr_cpus=1"])
        let error = SystemError("the unit failed", errno: 0)
        let failed = load.run { _ in error }
        #expect(failed.errno != 0 && failed.cause == error && "\(error)" == "the unit failed")
        #expect(load.run(by: nil).errno != 0)
    }

    @Test func whatDoesNotFit() throws {
        // Reserved are 192 MiB; the kernel needs 32 of them, and what goes with it 4.
        let disk = Data(count: 157 << 20)
        #expect(
            try obstacle(initrd: disk) == .tooLarge(needed: 193 << 20, reserved: 192 << 20))
        #expect(
            try obstacle(commandLine: String(repeating: "x", count: 2_018))
                == .commandLineTooLong(length: 2_018, limit: 2_017))
        #expect(try obstacle(commandLine: String(repeating: "x", count: 2_017)) == nil)
        #expect(name(of: try #require(try obstacle(commandLine: nil))) == "noCommandLine")
    }

    @Test func theFirstWhoKnowsTheCommandLineSaysIt() throws {
        let machine = try RecordedMachine(RecordedMachine.stock)
        let kernel = try machine.file("/boot/vmlinuz", ReloadTests.kernel)
        var engine = Engine(root: machine.root, source: nil, architecture: .x86)
        let unread = try engine.look(.cheap, now: { 0 }).observation
        let loaded = try LoadedMachine().recorded()
        for (path, text) in RecordedMachine.stock { try loaded.write(text, to: path) }
        try loaded.write(
            "00100000-3fffffff : System RAM\n  10000000-100fffff : Crash kernel\n",
            to: "/proc/iomem")
        var other = Engine(root: loaded.root, source: nil, architecture: .x86)
        var read = try other.look(.cheap, now: { 0 }).observation
        // The kernel would not fit into the synthetic machine's MiB.
        read = Observation(
            architecture: .x86, live: read.live, reserved: unread.reserved,
            support: read.support,
            finding: read.finding, coverage: read.coverage)
        func line(
            _ named: String?, _ seen: Observation, _ remembered: String?, _ configured: Fact<String>
        ) throws -> String {
            let source = ImageSource(kernel: kernel, initrd: nil, commandLine: named)
            let configuration =
                named == nil
                ? Configuration(kernel: kernel, initrd: nil, commandLine: configured, by: "/f")
                : Configuration(named: source)
            return try Reload.prepare(
                .success(configuration), remembering: Reload.Memory(commandLine: remembered),
                insteadOf: seen
            ).commandLine
        }
        #expect(try line("named", read, "remembered", .known("configured")) == "named")
        #expect(
            try line(nil, read, "remembered", .known("configured")) == "console=ttyS0 nr_cpus=1")
        #expect(try line(nil, unread, "remembered", .known("configured")) == "remembered")
        #expect(try line(nil, unread, nil, .known("configured")) == "configured")
        #expect(throws: Obstacle.noCommandLine(because: "why")) {
            try line(nil, unread, nil, .unknown(because: "why"))
        }
    }

    @Test func signaturesAreSeen() {
        var signed = Array(ReloadTests.kernel)
        signed[0] = 0x4D
        signed[1] = 0x5A
        signed[0x3C] = 0x80
        signed.replaceSubrange(0x80..<0x84, with: Array("PE\0\0".utf8))
        signed[0x98] = 0x0B
        signed[0x99] = 0x02
        #expect(KernelFormat(prefix: signed, for: .x86)?.isSigned == false)
        signed[0x80 + 24 + 112 + 36] = 8
        #expect(KernelFormat(prefix: signed, for: .x86)?.isSigned == true)
    }

    @Test func everyObstacleIsOneSentence() {
        let all: [Obstacle] = [
            .noSource, .noCommandLine(because: "it is hidden"), .loadingDisabled, .noLoadsLeft,
            .lastLoad, .noLoader, .lockedDown,
            .unreadable(.kernel, path: "/k", because: "No such file or directory"),
            .notAFile(.initrd, path: "/i"), .empty(.kernel, path: "/k"),
            .beingWritten(.initrd, path: "/i"), .notAKernel(path: "/k"), .unsigned(path: "/k"),
            .refused(path: "/k", because: "Operation not permitted"),
            .untried(path: "/k", because: "b"),
            .notMade(because: "reserved memory has no room for 112 MiB of the initrd"),
            .commandLineTooLong(length: 3, limit: 2), .tooLarge(needed: 2, reserved: 1),
            .notWanted(path: "/f", variable: "V"), .firmwareAssisted(path: "/f", variable: "V"),
            .unreadableConfiguration(path: "/etc/default/kdump-tools", because: "Is a directory"),
            .foreignConfiguration(
                path: "/etc/default/kdump-tools", line: 10, what: "a command substitution"),
            .foreignOption(path: "/etc/default/kdump-tools", variable: "V", option: "--dtb"),
            .noKernel(path: "/etc/sysconfig/kdump", release: "6.12.0-1"),
        ]
        for obstacle in all {
            #expect(!obstacle.description.contains("\n"))
            #expect(obstacle.description.count < 150)
            #expect(obstacle.description.last != ".")
        }
    }
}
