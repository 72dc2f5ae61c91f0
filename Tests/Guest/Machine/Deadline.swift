// SPDX-License-Identifier: Apache-2.0

/// A moment by which something must have happened, for calls of poll(2) and loops around them.
struct Deadline {
    private let end: ContinuousClock.Instant

    init(in duration: Duration) {
        end = .now + duration
    }

    var isOver: Bool { end <= .now }

    /// What is left, as poll(2) wants it.
    var milliseconds: Int32 {
        let left = ContinuousClock.now.duration(to: end).components
        return Int32(max(0, left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000))
    }
}

extension Duration {
    /// In seconds, for printing.
    package var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
