// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// The setup header of x86's boot protocol.
@Suite struct X86SetupHeaderTests {
    @Test func needsTheWholeHeader() {
        var bytes = [UInt8](repeating: 0, count: X86SetupHeader.byteCount)
        #expect(X86SetupHeader(bytes) == nil)
        bytes.set(UInt32(0x5372_6448), at: 0x202)
        bytes.set(UInt16(0x020C), at: 0x206)
        bytes.set(UInt32(0x1000), at: 0x228)
        bytes.set(UInt32(1), at: 0xC8)
        #expect(X86SetupHeader(bytes)?.bootData?.commandLine == 0x1_0000_1000)
        bytes.set(UInt16(0x020B), at: 0x206)
        #expect(X86SetupHeader(bytes) == nil)
    }
}
