// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What each architecture says of itself, and what all others fall back to.
@Suite struct ArchitectureTests {
    private static let all: [Architecture] = [.x86, .power, .arm64, .s390x, .riscv64, .unknown]

    /// Whether images go stale, whether a patch is known, whether a command line can be found.
    @Test func saysWhatIsKnown() {
        let table = ArchitectureTests.all.map { one in
            [one.imagesGoStale, one.patching != nil, one.bootData != nil]
                .map { $0 ? "y" : "n" }.joined()
        }
        #expect(table == ["yyy", "yyy", "yyy", "nnn", "ynn", "ynn"])
    }

    @Test func numbersAreThoseOfTheSystemCall() {
        #expect(ArchitectureTests.all.map(\.number) == [62, 21, 183, 22, 243, 0])
        #expect(Set(ArchitectureTests.all).count == ArchitectureTests.all.count)
    }

    @Test func whoseDigestIsChecked() throws {
        let table = try ArchitectureTests.all.map { one in
            try [true, false].map { isFromFiles in
                var machine = try LoadedMachine()
                machine.kimage?.isFromFiles = isFromFiles
                let image = try machine.audit(on: one).finding.value?.image
                return image?.integrity == .verified ? "y" : "n"
            }.joined()
        }
        #expect(table == ["yy", "ny", "ny", "yy", "yy", "yy"])
    }

    @Test func kernelFilesAreToldApart() {
        var arm = [UInt8](repeating: 0, count: 4096)
        arm.replaceSubrange(56..<60, with: Array("ARMd".utf8))
        arm[18] = 2
        var power: [UInt8] = Array("\u{7F}ELF".utf8) + [2, 1] + [UInt8](repeating: 0, count: 4090)
        power[18] = 21
        #expect(KernelFormat(prefix: arm, for: .arm64)?.needs.memory == 2 << 16)
        #expect(KernelFormat(prefix: power, for: .power) != nil)
        for (bytes, wrong) in [(arm, Architecture.power), (power, .arm64), (arm, .x86)] {
            #expect(KernelFormat(prefix: bytes, for: wrong) == nil)
        }
        for anything in [Architecture.s390x, .riscv64, .unknown] {
            #expect(KernelFormat(prefix: [1], for: anything) != nil)
            #expect(KernelFormat(prefix: [], for: anything) == nil)
        }
    }
}
