// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What is read out of a resident command line, and what of it another load may use.
@Suite struct ResidentCommandLineTests {
    @Test(arguments: [
        ("elfcorehdr=0x33000000 quiet", 0x3300_0000), ("quiet elfcorehdr=1031540K", 0x3EF5_D000),
        ("elfcorehdr=16k", 0x4000), ("elfcorehdr=1M elfcorehdr=2M", 0x20_0000),
        ("elfcorehdr=4096@0x5000", 0x5000), ("elfcorehdr=1G", 0x4000_0000),
        ("elfcorehdr=77", 77),
    ])
    func findsTheAddress(line: String, address: UInt64) {
        #expect(ResidentCommandLine.coreHeader(in: line) == address)
    }

    @Test(arguments: ["", "quiet", "elfcorehdr=", "elfcorehdr=K", "elfcorehdr=0x", "xelfcorehdr=1"])
    func findsNone(line: String) {
        #expect(ResidentCommandLine.coreHeader(in: line) == nil)
    }

    @Test func aResidentCommandLineIsTheAdministratorsAndComplete() {
        let text = "elfcorehdr=0x33000000 console=ttyS0  nr_cpus=1 dmcryptkeys=0x1 elfcorehdr=3K"
        #expect(ResidentCommandLine.administrators(text) == "console=ttyS0 nr_cpus=1")
        let needs = [CaptureNeed.leaveHotAddedMemoryAlone]
        #expect(ResidentCommandLine.completing("a b", with: needs) == "a b acpi_no_memhotplug")
        #expect(ResidentCommandLine.completing("", with: needs) == "acpi_no_memhotplug")
        #expect(ResidentCommandLine.completing("a", with: []) == "a")
    }

    /// A parameter in quotes is a part of another, as it is to the kernel.
    @Test func quotesHoldAParameterTogether() {
        let text = "dyndbg=\"file a +p; elfcorehdr=1M\" elfcorehdr=2M"
        #expect(ResidentCommandLine.coreHeader(in: text) == 2 << 20)
        #expect(ResidentCommandLine.administrators(text) == "dyndbg=\"file a +p; elfcorehdr=1M\"")
    }
}
