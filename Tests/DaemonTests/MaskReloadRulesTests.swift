// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

extension DaemonTests {
    /// The script that silences the distribution's rules, on machines made up in a directory.
    @Suite struct MaskReloadRulesTests {
        private let machine: FakeMachine

        init() throws {
            machine = try FakeMachine()
        }

        private static let fedora = "usr/lib/udev/rules.d/98-kexec.rules"
        private static let debian = "lib/udev/rules.d/50-kdump-tools.rules"
        private static let fedoraMask = "run/udev/rules.d/98-kexec.rules"
        private static let debianMask = "run/udev/rules.d/50-kdump-tools.rules"

        @Test func aShippedRuleIsMaskedAndComesBack() throws {
            try machine.write(Self.fedora)
            #expect(machine.mask("on") == 0)
            #expect(machine.target(of: Self.fedoraMask) == "/dev/null")
            #expect(!machine.has(Self.debianMask))
            #expect(machine.reloads == 1)
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.fedoraMask))
            #expect(machine.has(Self.fedora))
            #expect(machine.reloads == 2)
        }

        @Test func bothPlacesOfShippedRulesAreKnown() throws {
            try machine.write(Self.fedora)
            try machine.write(Self.debian)
            #expect(machine.mask("on") == 0)
            #expect(machine.has(Self.fedoraMask) && machine.has(Self.debianMask))
        }

        @Test func whereNoRuleIsNothingIsDone() {
            #expect(machine.mask("on") == 0)
            #expect(machine.mask("off") == 0)
            #expect(!machine.has("run/udev") && machine.reloads == 0)
        }

        @Test func anAdministratorsFileIsRespected() throws {
            try machine.write(Self.fedora)
            try machine.write("etc/udev/rules.d/98-kexec.rules")
            try machine.write(Self.debian)
            try machine.link(Self.debianMask)
            #expect(machine.mask("on") == 0)
            #expect(!machine.has(Self.fedoraMask))
            #expect(machine.mask("off") == 0)
            #expect(machine.target(of: Self.debianMask) == "/dev/null")
        }

        @Test func onTwiceIsOn() throws {
            try machine.write(Self.fedora)
            #expect(machine.mask("on") == 0)
            #expect(machine.mask("on") == 0)
            #expect(machine.target(of: Self.fedoraMask) == "/dev/null")
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.fedoraMask))
        }

        @Test func aMaskThatBecameAFileIsNotRemoved() throws {
            try machine.write(Self.fedora)
            #expect(machine.mask("on") == 0)
            try machine.remove(Self.fedoraMask)
            try machine.write(Self.fedoraMask)
            #expect(machine.mask("off") == 0)
            #expect(machine.has(Self.fedoraMask))
        }

        @Test func aForgedRecordRemovesNothingElse() throws {
            try machine.link("run/udev/rules.d/10-other.rules")
            try machine.write("run/kdump-hotplugd/masks", "10-other.rules\n../../../etc/passwd\n")
            #expect(machine.mask("off") == 0)
            #expect(machine.has("run/udev/rules.d/10-other.rules"))
        }

        @Test(arguments: [("s390x", false), ("ppc64le", true), ("aarch64", true)])
        func architecturesDiffer(architecture: String, masked: Bool) throws {
            try machine.write(Self.fedora)
            #expect(machine.mask("on", architecture: architecture) == 0)
            #expect(machine.has(Self.fedoraMask) == masked)
        }

        @Test(arguments: [("1\n", false), ("0\n", true)])
        func firmwareAssistedDumpNeedsItsRule(enabled: String, masked: Bool) throws {
            try machine.write(Self.fedora)
            try machine.write(Self.debian)
            try machine.write("sys/kernel/fadump/enabled", enabled)
            #expect(machine.mask("on", architecture: "ppc64le") == 0)
            #expect(machine.has(Self.fedoraMask) == masked)
            #expect(machine.has(Self.debianMask))
        }

        @Test(arguments: ["", "maybe"])
        func anythingElseIsAMistake(argument: String) {
            #expect(machine.mask(argument) == 64)
        }
    }
}

/// A root directory in /tmp, with stand-ins for the programs that the script asks.
private final class FakeMachine {
    private let root: String

    init() throws {
        var template = Array("/tmp/kdump-hotplugd-test-XXXXXX".utf8CString)
        root = String(cString: try #require(mkdtemp(&template)))
        try program("uname", "echo \"$ARCHITECTURE\"")
        try program("udevadm", "test \"$*\" = 'control --reload' && echo >>\(root)/reloads")
    }

    deinit {
        _ = shell("rm -rf \(root)")
    }

    /// How often udevd was told to read its rules again.
    var reloads: Int { has("reloads") ? (try? read("\(root)/reloads").count) ?? -1 : 0 }

    /// Runs the script, and returns its exit status.
    func mask(_ argument: String, architecture: String = "x86_64") -> CInt {
        shell(
            "PATH=\(root)/bin:$PATH ARCHITECTURE=\(architecture) KDUMP_HOTPLUGD_ROOT=\(root) "
                + "\(repository("udev/mask-reload-rules")) \(argument) 2>\(root)/errors")
    }

    func write(_ path: String, _ text: String = "") throws {
        let path = "\(root)/\(path)"
        let directory = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        try #require(shell("mkdir -p \(directory)") == 0)
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        try #require(file >= 0)
        defer { close(file) }
        try #require(Glibc.write(file, text, text.utf8.count) == text.utf8.count)
    }

    func link(_ path: String) throws {
        try write(path)
        try remove(path)
        try #require(symlink("/dev/null", "\(root)/\(path)") == 0)
    }

    func remove(_ path: String) throws {
        try #require(unlink("\(root)/\(path)") == 0)
    }

    func has(_ path: String) -> Bool {
        var found = stat()
        return lstat("\(root)/\(path)", &found) == 0
    }

    func target(of path: String) -> String? {
        var target = [CChar](repeating: 0, count: 256)
        let length = readlink("\(root)/\(path)", &target, target.count)
        return length < 0 ? nil : String(decoding: target[..<length].map(UInt8.init), as: UTF8.self)
    }

    private func program(_ name: String, _ script: String) throws {
        try write("bin/\(name)", "#!/bin/sh\n\(script)\n")
        try #require(chmod("\(root)/bin/\(name)", 0o755) == 0)
    }

    /// Runs a command, and returns its exit status.
    private func shell(_ command: String) -> CInt {
        let status = system(command)
        return (status >> 8) & 0xFF
    }
}
