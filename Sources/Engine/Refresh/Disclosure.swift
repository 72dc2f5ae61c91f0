// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Loads after which a kernel that hides what an image lists shows the image: each lists one page
/// that only jumps to where the image begins.
///
/// Some kernels unmap every listed segment (`arch_kexec_protect_crashkres`), and nobody can say
/// what such an image holds. It stays where it is when something else is listed, and then it can be
/// read. This is a value; who makes the loads decides when.
struct Disclosure: Equatable {
    /// The pages, each of which is loaded by itself and becomes the entry, in this order.
    ///
    /// The last one stays hidden. The one before it says the same and can be read.
    let pages: [AddressRange]
    /// What each of them holds; zeros follow.
    let bytes: [UInt8]

    /// How often a load is tried that finds the kexec lock taken, and how far apart in
    /// microseconds.
    private static let (most, pause): (Int, UInt32) = (100, 10_000)

    /// Makes the loads; returns how the last one ended that was made, with the time of all.
    func run(on architecture: Architecture) -> Kexec.Attempt {
        var window: UInt64 = 0
        for page in pages {
            guard let bytes = PinnedBytes(bytes) else {
                return Kexec.Attempt(errno: ENOMEM, microseconds: window)
            }
            let attempt = Disclosure.patiently {
                Kexec.loadSegments(
                    [Kexec.Segment(bytes: bytes, range: page)], entry: page.start, flags: [0],
                    on: architecture)
            }
            window += attempt.microseconds
            guard attempt.errno == 0 else {
                return Kexec.Attempt(errno: attempt.errno, microseconds: window)
            }
        }
        return Kexec.Attempt(errno: 0, microseconds: window)
    }

    private static func patiently(_ load: () -> Kexec.Attempt) -> Kexec.Attempt {
        for _ in 1..<most {
            let attempt = load()
            guard attempt.errno == EBUSY else { return attempt }
            usleep(pause)
        }
        return load()
    }
}
