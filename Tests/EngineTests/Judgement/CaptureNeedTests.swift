// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// What the capture kernel's command line must hold.
@Suite struct CaptureNeedTests {
    @Test func asksForWhatTheMachineNeeds() {
        let line = "console=ttyS0 irqpoll"
        let none = HotplugMemory(isPossible: false, isPresent: false)
        #expect(CaptureNeed.lacking(in: line, on: none).isEmpty)
        let empty = HotplugMemory(isPossible: true, isPresent: false)
        #expect(CaptureNeed.lacking(in: line, on: empty).map(\.urgency) == [.soon])
        let full = HotplugMemory(isPossible: true, isPresent: true)
        #expect(CaptureNeed.lacking(in: line, on: full).map(\.urgency) == [.now])
        #expect(CaptureNeed.lacking(in: "a acpi_no_memhotplug b", on: full).isEmpty)
        #expect(!CaptureNeed.lacking(in: "acpi_no_memhotplug2", on: full).isEmpty)
        #expect(!CaptureNeed.lacking(in: "a=\"b acpi_no_memhotplug c\"", on: full).isEmpty)
    }
}
