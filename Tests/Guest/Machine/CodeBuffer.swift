// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Room in QEMU for one more emulated CPU.
///
/// QEMU divides the buffer for translated code into regions, and empties it only when a running CPU
/// finds no free one. A CPU that is plugged in just before that aborts QEMU for want of a region
/// (tcg/region.c, `tcg_region_initial_alloc__locked`).
///
/// For QEMU 7.2 and 10.0.2, both seen to abort; the source of 10.0.13 is mended.
extension Machine {
    /// How full the buffer may be.
    ///
    /// It has 32 regions with the four CPUs that guests may have: six are left for the running ones to
    /// take before the new one has its own.
    private static let mostUse = 0.8

    /// Has the buffer emptied if it is nearly full: the guest runs programs that have to be translated
    /// until it is.
    func makeRoomForCode() throws(GuestError) {
        while try codeUse() > Self.mostUse {
            // Code is translated anew wherever a program happens to lie, about a MiB of it each time.
            try expect(
                """
                sysctl -q kernel.randomize_va_space=2
                for i in {1..40}; do /bin/true; done
                sysctl -q kernel.randomize_va_space=0
                """)
        }
    }

    /// How much of the buffer is in use, from 0 to 1.
    private func codeUse() throws(GuestError) -> Double {
        let answer = try control("x-query-jit")
        let text = (answer as? [String: Any])?["human-readable-text"] as? String ?? ""
        // gen code size       39063435/1073659904
        let line = text.split(separator: "\n").first { $0.hasPrefix("gen code size") }
        let numbers = line?.split { !$0.isNumber }.compactMap { Double($0) } ?? []
        guard numbers.count == 2, numbers[1] > 0 else { throw .garbled("x-query-jit: \(text)") }
        return numbers[0] / numbers[1]
    }
}
