// SPDX-License-Identifier: Apache-2.0

import Engine
import Testing

@testable import KdumpHotplugd

extension DaemonTests {
    /// Options and their twins in the environment, and what is refused.
    @Suite struct SettingsTests {
        private func settings(
            kernel: String? = nil, initrd: String? = nil, commandLine: String? = nil,
            settle: String? = nil, scrub: String? = nil,
            environment: [Settings.Variable: String] = [:]
        ) throws(Settings.Flaw) -> Settings {
            try Settings(
                kernel: kernel, initrd: initrd, commandLine: commandLine, settle: settle,
                scrub: scrub, environment: { environment[$0] })
        }

        @Test func nothingSaidMeansTheDefaults() throws {
            let settings = try settings()
            #expect(settings.source == nil)
            #expect(settings.settle == 100_000 && settings.scrub == 300)
        }

        @Test func theEnvironmentIsReadAndAnOptionWins() throws {
            let environment: [Settings.Variable: String] = [
                .kernel: "/k", .initrd: "/i", .commandLine: "c", .settle: "7", .scrub: "0",
            ]
            let told = try settings(environment: environment)
            #expect(told.source == ImageSource(kernel: "/k", initrd: "/i", commandLine: "c"))
            #expect(told.settle == 7_000 && told.scrub == 0)
            let option = try settings(
                kernel: "/other", settle: "8", scrub: "9", environment: environment)
            #expect(option.source?.kernel == "/other" && option.source?.initrd == "/i")
            #expect(option.settle == 8_000 && option.scrub == 9)
        }

        @Test(arguments: ["-1", "60001", "0.2", "x", "99999999999999999999"])
        func timesThatAreNoneAreRefused(time: String) {
            #expect(throws: Settings.Flaw.self) { try settings(settle: time) }
            #expect(throws: Settings.Flaw.self) { try settings(scrub: time + "0") }
        }

        @Test func anInitrdOrACommandLineAloneIsRefused() {
            #expect(throws: Settings.Flaw.self) { try settings(initrd: "/i") }
            #expect(throws: Settings.Flaw.self) { try settings(commandLine: "c") }
        }
    }
}
