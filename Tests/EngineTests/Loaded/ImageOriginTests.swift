// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// Which files an image was made of, by what its loader left in memory.
@Suite struct ImageOriginTests {
    private func header(payload: UInt32 = 0x1000, sectors: UInt8 = 3) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes.set(UInt32(0x5372_6448), at: 0x202)
        bytes.set(UInt16(0x020F), at: 0x206)
        bytes.set(UInt16(0xAA55), at: 0x1FE)
        bytes.set(UInt16(0b11), at: 0x236)
        bytes[0x1F1] = sectors
        bytes.set(UInt32(0x200), at: 0x1F4)
        bytes.set(UInt32(0x2CC), at: 0x248)
        bytes.set(payload, at: 0x24C)
        bytes.set(UInt32(0x9000), at: 0x260)
        // In boot parameters only: 5 GiB and a byte of initrd.
        bytes.set(UInt32(0x4000_0001), at: 0x21C)
        bytes.set(UInt32(1), at: 0xC4)
        return bytes
    }

    @Test func aLoaderLeavesTheSizes() throws {
        let origin = try #require(X86SetupHeader(header())?.bootData?.origin)
        #expect(origin.initrdSize == 0x1_4000_0001)
        let file = X86SetupHeader(header())?.kernelNeeds?.build
        #expect(origin.build == file)
        #expect(file?.head == 2048 && file?.unpacker == 0x12CC)
        #expect(X86SetupHeader(header(payload: 0x1001))?.kernelNeeds?.build != file)
        #expect(X86SetupHeader(header(payload: 0))?.kernelNeeds?.build == nil, "too old a kernel")
    }

    @Test func theUnpackerNamesTheRelease() {
        func found(_ text: String) -> String? { KernelBuild.release(in: Array(text.utf8)) }
        #expect(
            found("\u{1}\u{2}x (y\0junk\u{10}\u{2}6.1.0-56 (debian@x) (gcc-12 (Debian 12.2.0-14)\0")
                == "6.1.0-56")
        #expect(found("7.3.4+deb13 (b@h)") == "7.3.4+deb13")
        for none in ["", "6.1.0", "6.1.0 ", "\0gcc 6.1.0 (x)", "\06 (x)", "\0v6.1 (x)"] {
            #expect(found(none) == nil, "\(none)")
        }
    }

    @Test func aReplacementIsSaidInNumbers() {
        #expect(
            "\(Replacement.kernel(resident: "6.1", configured: "6.12"))"
                == "another kernel (6.12 instead of 6.1)")
        #expect(
            "\(Replacement.kernel(resident: "6.1", configured: "6.1"))"
                == "another build of the kernel 6.1")
        #expect("\(Replacement.kernel(resident: nil, configured: "6.1"))" == "another kernel")
        #expect(
            "\(Replacement.initrd(resident: 5, configured: 6))"
                == "another initrd (6 bytes instead of 5)")
    }
}
