// SPDX-License-Identifier: Apache-2.0

/// How the files that a reload would load differ from those that the image in place was made of.
///
/// An administrator may have loaded something else by hand, or a file has been made anew since. A
/// reload is right all the same where it is needed; but whoever reads of it must know beforehand.
package enum Replacement: Hashable {
    /// It is another kernel; both releases, `nil` where one is not known.
    case kernel(resident: String?, configured: String?)
    /// The kernel is the same and the initrd is another; both sizes in bytes, 0 where there is none.
    case initrd(resident: UInt64, configured: UInt64)
}

extension Replacement: CustomStringConvertible {
    /// A noun for what a reload loads: `another initrd (…)`.
    package var description: String {
        switch self {
        case .kernel(let resident?, let configured?) where resident == configured:
            "another build of the kernel \(resident)"
        case .kernel(let resident?, let configured?):
            "another kernel (\(configured) instead of \(resident))"
        case .kernel:
            "another kernel"
        case .initrd(_, 0):
            "no initrd"
        case .initrd(0, _):
            "an initrd, and the loaded image has none"
        case .initrd(let resident, let configured):
            "another initrd (\(configured) bytes instead of \(resident))"
        }
    }
}
