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
            expect("the settle time must be 0 to 60000 milliseconds, not \(time)") {
                () throws(Settings.Flaw) in try settings(settle: time)
            }
            expect("the scrub time must be 0 to 86400 seconds, not \(time)9") {
                () throws(Settings.Flaw) in try settings(scrub: time + "9")
            }
        }

        @Test func anInitrdOrACommandLineAloneIsRefused() {
            expect("the initrd /i is set without a kernel: set both") {
                () throws(Settings.Flaw) in try settings(initrd: "/i")
            }
            expect("the command line is set without a kernel: set both") {
                () throws(Settings.Flaw) in try settings(commandLine: "c")
            }
        }

        @Test func patchesAreSwitchedOffByOneOnly() throws {
            #expect(try settings().patches && settings(environment: [.noPatch: "0"]).patches)
            #expect(try !settings(environment: [.noPatch: "1"]).patches)
            expect("KDUMP_HOTPLUGD_NO_PATCH must be 0 or 1, not yes") {
                () throws(Settings.Flaw) in try settings(environment: [.noPatch: "yes"])
            }
        }

        /// Settings are refused with this sentence.
        private func expect(
            _ sentence: String, _ settings: () throws(Settings.Flaw) -> Settings
        ) {
            #expect(throws: Settings.Flaw(description: sentence)) { try settings() }
        }
    }
}
