// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What one daemon leaves for the next, also across an upgrade; how it is used is the engine's.
    @Suite struct StateDirectoryTests {
        @Test func anUpgradeForgetsNothing() throws {
            let machine = FileManager.default.temporaryDirectory
                .appendingPathComponent("state-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: machine) }
            let run = machine.appendingPathComponent("run/kdump-hotplugd")
            try FileManager.default.createDirectory(at: run, withIntermediateDirectories: true)
            let state = StateDirectory(below: SystemRoot(machine.path))
            #expect(state.remembered() == nil)
            let former = #"{"engine":{"expectsImage":true,"owesDigest":false,"seal":{}}}"#
            try Data(former.utf8).write(to: run.appendingPathComponent("memory.json"))
            #expect(state.remembered()?.engine.expectsImage == true)
            let own = #"{"engine":{"expectsImage":false,"owesDigest":true}}"#
            try state.write(Array(own.utf8), as: StateDirectory.savedState, mode: 0o600)
            #expect(state.remembered()?.engine.expectsImage == false)
            #expect(state.remembered()?.engine.owesDigest == true)
        }
    }
}
