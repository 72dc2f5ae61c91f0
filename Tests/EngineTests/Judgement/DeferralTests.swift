// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Engine

/// When a load waits for a kernel that may be crashing.
@Suite struct DeferralTests {
    /// What a load is told at each of these times, in microseconds; whether there was an alarm.
    private func answers(_ questions: [(isAlarmed: Bool, at: UInt64)]) -> [Bool] {
        var deferral = Deferral()
        return questions.map { deferral.holds(isAlarmed: $0.isAlarmed, at: $0.at) }
    }

    @Test func aQuietKernelDefersNothing() {
        #expect(answers([(false, 0), (false, 5_000_000)]) == [false, false])
    }

    @Test func anAlarmDefersForFiveSeconds() {
        #expect(
            answers([(true, 7_000_000), (false, 11_999_999), (false, 12_000_000)])
                == [true, true, false])
    }

    @Test func aKernelThatKeepsSendingAlarmsIsFollowed() {
        #expect(
            answers([(true, 0), (true, 5_000_000), (true, 59_999_999), (true, 60_000_000)])
                == [true, false, false, true])
    }
}
