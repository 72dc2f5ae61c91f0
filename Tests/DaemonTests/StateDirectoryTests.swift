// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What one daemon leaves for the next, also across an upgrade; how it is used is the engine's.
    @Suite struct StateDirectoryTests {
        /// node_exporter reads whatever ends in .prom, and a half of it would be an error there.
        @Test func nothingIsLeftOfWhatCannotBeWritten() throws {
            let machine = try FakeMachine()
            let state = StateDirectory(below: machine.systemRoot)
            // A directory in the way lets the last step fail, after everything was written.
            try machine.write("run/kdump-hotplugd/metrics.prom/x")
            #expect(throws: SystemError.self) {
                try state.write([1], as: ReportMetrics.file, mode: 0o644)
            }
            let run = machine.systemRoot.path("/run/kdump-hotplugd")
            #expect(try FileManager.default.contentsOfDirectory(atPath: run) == ["metrics.prom"])
            try FileManager.default.removeItem(atPath: run + "/metrics.prom")
            try state.write([1], as: ReportMetrics.file, mode: 0o644)
            #expect(machine.mode(of: "run/kdump-hotplugd/metrics.prom") == 0o644)
        }

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

        /// It is all that a daemon leaves that is killed while it patches.
        @Test func aMarkSaysThatThereWasAnImage() throws {
            let machine = try FakeMachine()
            let state = StateDirectory(below: machine.systemRoot)
            try machine.write("run/kdump-hotplugd/x")
            #expect(!state.engineState().expectsImage)
            try state.make(StateDirectory.mark)
            #expect(state.engineState().expectsImage, "also without any other file")
            let saved = #"{"engine":{"expectsImage":false,"owesDigest":true}}"#
            try state.write(Array(saved.utf8), as: StateDirectory.savedState, mode: 0o600)
            #expect(state.engineState().expectsImage && state.engineState().owesDigest)
            state.remove(StateDirectory.mark)
            #expect(!state.engineState().expectsImage)
        }
    }
}
