// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What is reloaded, and with which command line: the order of those who may say so.
@Suite struct ConfigurationTests {
    @Test func theOperatorComesBeforeTheDistribution() throws {
        let machine = try ConfiguredMachine([
            "/usr/sbin/kdump-config": "", "/etc/default/kdump-tools": "USE_KDUMP=0",
        ])
        let named = ImageSource(kernel: "/k", initrd: "/i", commandLine: "c")
        let found = try Configuration.find(
            named: named, below: machine.machine.root, on: .x86)
        #expect(found.source == named && found.file == nil)
        #expect(machine.obstacle != nil, "without it the distribution is asked")
    }

    @Test func withoutAnyoneToAskThereIsNoSource() throws {
        #expect(try ConfiguredMachine([:]).obstacle == .noSource)
    }

    @Test func whatIsFoundChangesWithTheFiles() throws {
        let machine = try ConfiguredMachine([
            "/usr/sbin/kdump-config": "",
            "/etc/default/kdump-tools": "USE_KDUMP=1 KDUMP_KERNEL=/a",
        ])
        #expect(try machine.found().kernel == "/a")
        try machine.machine.write("USE_KDUMP=1 KDUMP_KERNEL=/b", to: "/etc/default/kdump-tools")
        #expect(try machine.found().kernel == "/b")
    }

    @Test func linksBelowAnotherRootStayThere() throws {
        let machine = try RecordedMachine(["/a/b/file": "x", "/etc/x": ""])
        let root = machine.root
        try machine.link("/l/absolute", to: "/a/b/../b/file")
        try machine.link("/l/relative", to: "../a/./b/file")
        try machine.link("/l/out", to: "../../../../../etc/x")
        try machine.link("/l/directory", to: "/a/b")
        try machine.link("/l/loop", to: "loop")
        for path in ["/l/absolute", "/l/relative", "/l/directory/file"] {
            #expect(root.place(of: path) == root.path("/a/b/file"))
            #expect(root.isFile(path))
        }
        #expect(root.place(of: "/l/out") == root.path("/etc/x"))
        #expect(!root.isFile("/l/loop") && !root.isFile("/a/b") && !root.isFile("/none"))
        #expect(SystemRoot().place(of: "/l/../x") == "/l/../x")
    }

    @Test func parametersAreSplitAsTheKernelDoes() throws {
        let parameters = try #require(KernelParameters(closed: " a=\"b c\"  \"d e=f\"\tg= h "))
        #expect(parameters.line == "a=\"b c\" \"d e=f\" g= h")
        #expect(parameters.parameters.map(\.name) == ["a", "d e", "g", "h"])
        #expect(parameters.parameters.map(\.value) == ["b c", "f", "", nil])
        #expect(KernelParameters(closed: "a=\"b") == nil)
        #expect(KernelParameters("").line == "")
    }

    /// The kernel knows bytes; with a mark beside it `=` or a quote is part of another character.
    @Test func marksHideNoSignOfALine() throws {
        let parameter = try #require(KernelParameters("a=\u{301}b").parameters.first)
        #expect(parameter.name == "a" && parameter.value == "\u{301}b")
        #expect(KernelParameters(closed: "a=\u{6DD}\"b") == nil)
    }
}
