// SPDX-License-Identifier: Apache-2.0

extension Engine {
    /// How much of an image is looked at.
    package enum Depth: Equatable {
        /// `struct kimage`, the core header, the command line: some hundred KiB.
        case cheap
        /// All of it, to compute its digest again: as much as the image has.
        case thorough
        /// All of it, unless newer events come before the digest is computed.
        case interruptible
    }

    /// One observation with its verdict.
    package struct Look: Equatable {
        /// What was seen.
        package let observation: Observation
        /// What it means.
        package let verdict: Verdict
        /// How many bytes of the kernel's memory were read for it.
        package let byteCount: UInt64
        /// How long it took, in microseconds.
        package let microseconds: UInt64
    }

    /// One successful load.
    package struct Refresh: Hashable, Codable {
        /// How an image is brought up to date.
        package enum Method: String, Codable {
            /// Only the core header, and purgatory where it checks that, was loaded.
            case patch
            /// All of it was loaded again from what lay in reserved memory, after a patch failed.
            case replay
            /// All of it was loaded again from files.
            case reload
        }

        /// How it was brought up to date.
        package let method: Method
        /// How long the machine was unprotected, in microseconds: the duration of the system call.
        package let window: UInt64
    }

    /// What bars the ways of bringing an image up to date.
    package struct Ways: Equatable {
        /// What bars a patch; `nil` where nothing does.
        package let patch: PatchObstacle?
        /// What bars a reload; `nil` where nothing does.
        package let reload: Obstacle?
        /// What a reload would load; `nil` where nobody says.
        package var configuration: Configuration?
        /// How those files differ from those of the image in place; `nil` where they do not, or nobody
        /// knows.
        package var replacement: Replacement?

        /// The same for one who does not know the operator's settings.
        package var withoutSettings: Ways {
            reload == .noSource ? Ways(patch: patch, reload: nil) : self
        }

        /// What bars all of them.
        package var obstacle: Obstacle? { patch == nil ? nil : reload }
    }

    /// How a reconciliation ended.
    package enum End: Equatable {
        /// Nothing is left to do.
        case settled
        /// A refresh is needed and cannot be attempted; the image in place stays.
        case blocked(Obstacle)
        /// A refresh is needed, but the last one did not change the verdict.
        case uncured
        /// The kernel was busy with another load; nothing was dropped.
        case busy
        /// Another program holds the lock of the distribution's kdump tool; nothing was attempted.
        case held(LoadLock.Holder)
        /// The kernel refused the load; the image in place stays.
        case refused(SystemError)
        /// The load failed after the old image was dropped: nothing is loaded.
        case unprotected(SystemError)
        /// The load failed after the old image was dropped, and that was loaded again from reserved
        /// memory; why it failed. It is as wrong as before.
        case restored(String)
        /// The machine has changed since the refresh: there is more to do.
        case stillMoving
    }

    /// What a reconciliation found and did.
    package struct Reconciliation: Equatable {
        /// The last look.
        package let look: Look
        /// What made the refreshes necessary: the verdict of the first look.
        package let firstVerdict: Verdict
        /// The refreshes, in order.
        package let refreshes: [Refresh]
        /// Why something was loaded again as a whole and not patched; `nil` where it was patched, or
        /// a patch could not have helped.
        package let unpatched: PatchObstacle?
        /// How the files of the last reload differ from those of the image before; `nil` where they do
        /// not, or nobody knows.
        package var replacement: Replacement?
        /// What another program did while a load was being prepared, so that it was not made; `nil`
        /// where nobody interfered.
        package var rival: Rival?
        /// How it ended.
        package let end: End
    }
}
