// SPDX-License-Identifier: Apache-2.0

import Guest
import Testing

extension GuestTests {
    /// The crash kernel is loaded again by another program while it is looked at.
    @Suite struct LoadedAgainTests {
        /// Each load puts the same parts in the same places, and another digest into purgatory.
        @Test func `on 6.1 an image that is loaded again meanwhile is not called damaged`() throws {
            let guest = try guest(.v6_1, .loaded(.program))
            var damaged = 0
            for number in 1...4 {
                let output = try guest.expect(
                    """
                    kexec -c -p /boot/vmlinuz-$(uname -r) --initrd=\(GuestImage.captureInitrd) \
                    --command-line='\(Machine.captureCommandLine) load=\(number)' &
                    kdump-hotplugd --check; wait
                    """)
                print("[guest] " + output.prefix { $0 != "\n" })
                if output.contains("damaged") { damaged += 1 }
            }
            #expect(damaged == 0)
            let report = try guest.report()
            #expect(report.integrity == "verified")
        }
    }
}
