// SPDX-License-Identifier: Apache-2.0

/// The digest that the daemon still has to compute of the loaded image, as work for its loop.
///
/// Each step takes about a millisecond, so no signal, event or watchdog waits for a digest. It
/// decides nothing: a look judges the result.
package struct OwedDigest {
    /// The digest, as far as it has been computed.
    private(set) var work: DigestWork
    private let layout: KernelLayout
    private let reserved: AddressRanges
    /// How many steps in a row have failed because something moved.
    private var failures = 0

    /// How many failures in a row end the work: as many tries as ``Tries`` has.
    private static let mostFailures = 12

    /// What a step has led to.
    package enum Progress: Equatable {
        /// No digest is owed, or it cannot be computed, or the image was replaced; the next look
        /// may start again.
        case nothing
        /// There is more to do at once.
        case more
        /// Something moved: try the same step again in some ten milliseconds.
        case later
        /// The digest is computed, and the next look knows what that means.
        case done
    }

    /// Starts `work` on the image in `reserved`.
    init(_ work: DigestWork, laidOut layout: KernelLayout, within reserved: AddressRanges) {
        self.work = work
        self.layout = layout
        self.reserved = reserved
    }

    /// Does the next step.
    mutating func step(below root: SystemRoot) -> Progress {
        do throws(Unknowable) {
            let step = try work.step(below: root, laidOut: layout, within: reserved)
            failures = 0
            return switch step {
            case .more: .more
            case .done: .done
            case .replaced: .nothing
            }
        } catch {
            failures += 1
            return error.mayPass && failures < OwedDigest.mostFailures ? .later : .nothing
        }
    }
}
