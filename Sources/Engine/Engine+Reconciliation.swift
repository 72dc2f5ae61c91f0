// SPDX-License-Identifier: Apache-2.0

extension Engine {
    /// How much of an image is looked at.
    package enum Depth: Equatable {
        /// `struct kimage`, the core header, the command line: some hundred KiB.
        case cheap
        /// All of it, to compute its digest: as many bytes as the image has.
        case thorough
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
        /// Whether it is about the machine of a moment later; see ``Observation/ahead``.
        var isAhead = false
    }

    /// One successful load.
    package struct Refresh: Hashable, Codable {
        /// How an image is brought up to date.
        package enum Method: String, Codable {
            /// Only the core header was loaded, and purgatory if its digest covers the header.
            case patch
            /// All of it was loaded again from its own bytes in reserved memory, after a patch
            /// failed.
            case replay
            /// All of it was loaded again from files.
            case reload
        }

        /// How it was brought up to date.
        package let method: Method
        /// How long the machine was unprotected, in microseconds: the duration of the system call.
        package let window: UInt64
    }

    /// What prevents each way of refreshing an image.
    package struct Ways: Equatable {
        /// What prevents a patch; `nil` if nothing does.
        package let patch: PatchObstacle?
        /// What prevents a reload; `nil` if nothing does.
        package let reload: Obstacle?
        /// What a reload would load; `nil` if nothing is configured.
        package var configuration: Configuration?
        /// Whether a reload has left this very verdict, so that the next attempt comes only after a
        /// hotplug or on request.
        package var didNotHelp = false
        /// How those files differ from those of the image in place; `nil` where they do not, or nobody
        /// knows.
        package var replacement: Replacement?

        /// The same, if the operator's settings are not known.
        package var withoutSettings: Ways {
            reload == .noSource ? Ways(patch: patch, reload: nil, didNotHelp: didNotHelp) : self
        }

        /// What prevents both.
        package var obstacle: Obstacle? { patch == nil ? nil : reload }
    }

    /// How a reconciliation ended.
    package enum End: Equatable {
        /// Nothing is left to do.
        case settled
        /// A refresh is needed and cannot be attempted; the image in place stays.
        case blocked(Obstacle)
        /// A refresh is needed, but a reload did not change the verdict; the next attempt comes
        /// after a hotplug or on request.
        case uncured
        /// The kernel was busy with another load, or may be crashing; nothing was dropped.
        case busy
        /// Another program holds the lock of the distribution's kdump tool; nothing was attempted.
        case held(LoadLock.Holder)
        /// A patch cannot describe the machine, which seems to be changing; why.
        case changing(because: String)
        /// The kernel refused the load; the image in place stays.
        case refused(SystemError)
        /// The load failed after the old image was dropped: nothing is loaded.
        case unprotected(SystemError)
        /// The load failed after the old image was dropped, and that was loaded again from reserved
        /// memory; why it failed. It is as wrong as before.
        case restored(String)
        /// The machine has changed since the refresh: there is more to do.
        case stillMoving
        /// A refresh is needed and not yet worth what it costs while events keep coming.
        ///
        /// It will be at this time of the caller's clock.
        case postponed(until: UInt64)
        /// A refresh is needed, and recent ones have cost as much protection as they may.
        ///
        /// The next may come at this time of the caller's clock.
        case resting(until: UInt64)
    }

    /// What a reconciliation found and did.
    package struct Reconciliation: Equatable {
        /// The last look.
        package let look: Look
        /// What made the refreshes necessary: the verdict of the first look.
        package let firstVerdict: Verdict
        /// What a patch anticipated, if the first look found nothing wrong; see ``Ahead``.
        package var anticipated: Coverage?
        /// The refreshes, in order.
        package let refreshes: [Refresh]
        /// Why the image was reloaded and not patched; `nil` if it was patched, or if a patch could
        /// not have helped.
        package let unpatched: PatchObstacle?
        /// How the files of the last reload differ from those of the image before; `nil` where they do
        /// not, or nobody knows.
        package var replacement: Replacement?
        /// What another program did while a load was being prepared, so that it was not made; `nil`
        /// where nobody interfered.
        package var rival: Rival?
        /// How it ended.
        package let end: End

        /// The two as one, for whoever is told of both at once: what led to the first one, and how the
        /// later one ended.
        package func followed(by later: Reconciliation) -> Reconciliation {
            Reconciliation(
                look: later.look, firstVerdict: firstVerdict,
                anticipated: anticipated ?? later.anticipated,
                refreshes: refreshes + later.refreshes, unpatched: later.unpatched ?? unpatched,
                replacement: later.replacement ?? replacement, rival: later.rival ?? rival,
                end: later.end)
        }
    }
}
