// SPDX-License-Identifier: Apache-2.0

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
        private static let suse = "usr/lib/kdump/70-kdump.rules"
        private static let suseMask = "etc/udev/rules.d/70-kdump.rules"
        private static let nothing = "run/kdump-hotplugd/no.rules"
        private static let debianMask = "run/udev/rules.d/50-kdump-tools.rules"

        @Test func aShippedRuleIsMaskedAndComesBack() throws {
            try machine.write(Self.fedora)
            #expect(machine.mask("on") == 0)
            #expect(machine.target(of: Self.fedoraMask) == "/dev/null")
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

        /// A kdump tool that is installed later finds its rule masked.
        @Test(arguments: [fedora, debian])
        func aRuleThatComesLaterIsMaskedAlready(rule: String) throws {
            #expect(machine.mask("on") == 0)
            #expect(machine.target(of: Self.fedoraMask) == "/dev/null")
            #expect(machine.target(of: Self.debianMask) == "/dev/null")
            #expect(!machine.has(Self.suseMask) && machine.reloads == 0)
            try machine.write(rule)
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.fedoraMask) && !machine.has(Self.debianMask))
            #expect(machine.has(rule) && machine.reloads == 1)
        }

        @Test(arguments: [
            ("ID=\"opensuse-leap\"", true), ("ID_LIKE=\"suse opensuse\"", true),
            ("NAME=suse\nID=debian", false),
        ])
        func aRuleOfSUSEThatComesLaterIsMaskedOnSUSE(release: String, masked: Bool) throws {
            try machine.write("etc/os-release", release + "\n")
            #expect(machine.mask("on") == 0)
            #expect((machine.target(of: Self.suseMask) == "/" + Self.nothing) == masked)
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.suseMask))
        }

        @Test func whereNoRuleIsUdevdIsLeftAlone() {
            #expect(machine.mask("on") == 0)
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.fedoraMask) && machine.reloads == 0)
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
            #expect(machine.has(Self.debianMask) == masked)
            try machine.write(Self.suse)
            #expect(machine.mask("on", architecture: "ppc64le") == 0)
            #expect(machine.has(Self.suseMask) == masked)
        }

        @Test func aRuleThatIsCopiedToRunIsMaskedInEtc() throws {
            try machine.write(Self.suse)
            try machine.write("run/udev/rules.d/70-kdump.rules", "rule")
            #expect(machine.mask("on") == 0)
            #expect(machine.target(of: Self.suseMask) == "/" + Self.nothing)
            #expect(machine.has(Self.nothing) && machine.reloads == 1)
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.suseMask) && !machine.has(Self.nothing))
            #expect(machine.has("run/udev/rules.d/70-kdump.rules"))
            #expect(machine.reloads == 2)
        }

        /// The machine lost power while the mask was there; /run is empty.
        @Test(arguments: [true, false])
        func aMaskThatOutlivedARebootIsKnown(daemonStarts: Bool) throws {
            try machine.write(Self.suse)
            try machine.link(Self.suseMask, to: "/" + Self.nothing)
            if daemonStarts {
                #expect(machine.mask("on") == 0)
                #expect(machine.has(Self.nothing) && machine.reloads == 1)
            }
            #expect(machine.mask("off") == 0)
            #expect(!machine.has(Self.suseMask) && machine.reloads == (daemonStarts ? 2 : 1))
        }

        @Test(arguments: ["/dev/null", "70-mine.rules"])
        func anAdministratorsMaskInEtcStays(target: String) throws {
            try machine.write(Self.suse)
            try machine.link(Self.suseMask, to: target)
            #expect(machine.mask("on") == 0 && machine.mask("off") == 0)
            #expect(machine.target(of: Self.suseMask) == target)
            #expect(machine.reloads == 0)
        }

        @Test func anAdministratorsFileInEtcStays() throws {
            try machine.write(Self.suse)
            try machine.write(Self.suseMask, "rule")
            #expect(machine.mask("on") == 0 && machine.mask("off") == 0)
            #expect(machine.target(of: Self.suseMask) == nil && machine.has(Self.suseMask))
        }

        @Test(arguments: ["", "maybe"])
        func anythingElseIsAMistake(argument: String) {
            #expect(machine.mask(argument) == 64)
        }
    }
}
