// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine
@testable import KdumpHotplugd

extension DaemonTests {
    /// What a daemon takes over from one of another version.
    @Suite struct RememberedTests {
        private func remembered(_ json: String) -> Remembered? {
            ReportJSON.value(Remembered.self, from: Array(json.utf8))
        }

        /// Each of these lacks something, or has it in a form that nobody knows.
        @Test(arguments: [
            "",
            #","owesDigest":3"#,
            #","digest":{"base":1},"layout":{"pointer":"x"}"#,
            #","refusal":"no","described":[],"new":{"a":1}"#,
        ])
        func whatIsUnderstoodIsKept(rest: String) throws {
            let text =
                #"{"engine":{"expectsImage":true,"commandLine":"a=1"\#(rest)},"#
                + #""patches":false,"source":7,"lastRefresh":{"method":"none"}}"#
            let known = try #require(remembered(text))
            #expect(known.engine.expectsImage && known.engine.commandLine == "a=1")
            #expect(!known.engine.owesDigest && known.engine.refusal == nil)
            #expect(known.patches == false && known.source == nil && known.lastRefresh == nil)
        }

        @Test func allOfItComesBack() throws {
            var state = Engine.SavedState()
            state.expectsImage = true
            state.owesDigest = true
            state.unpatchable = "entry"
            state.refusal = 38
            state.contiguousReserve = Combinations.machine.ram
            state.commandLine = "a=1"
            state.described = Combinations.machine
            let whole = Remembered(
                engine: state, source: ImageSource(kernel: "/k", initrd: "/i", commandLine: nil),
                patches: true,
                lastRefresh: Report.LastRefresh(method: .patch, time: 1, window: 2))
            #expect(ReportJSON.value(Remembered.self, from: ReportJSON.bytes(of: whole)) == whole)
        }

        @Test(arguments: ["", "[]", "{"])
        func whatIsNoneIsNone(text: String) {
            #expect(remembered(text) == nil)
        }
    }
}
