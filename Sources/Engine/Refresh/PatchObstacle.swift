// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A reason why the loaded image is reloaded and not patched.
///
/// It prevents only a patch, which is the better way; an `Obstacle` prevents a reload.
package enum PatchObstacle: Error, Hashable {
    /// The operator has switched patches off.
    case switchedOff
    /// Images of this architecture are not patched yet.
    case architecture(Architecture)
    /// The machine is locked down, so the kernel loads only whole signed files.
    case lockedDown
    /// `kernel.kexec_load_disabled` is 1.
    case loadingDisabled
    /// `kernel.kexec_load_limit_panic` is used up.
    case noLoadsLeft
    /// `kernel.kexec_load_limit_panic` is 1, and what is wrong is not worth the last load.
    case lastLoad
    /// The kernel hides the keys of an encrypted dump target in the image, which a patch would end, and
    /// a dump loses nothing without one.
    case encryptedTarget
    /// The image cannot be read, or a patch cannot work with it; why.
    case imageNotUnderstood(because: String)
    /// It is not certain where the digest is or what it covers.
    case digestNotUnderstood
    /// It is not known what the machine is like now; why.
    case machineNotKnown(because: String)
    /// The new core header is larger than the room of the old one, both in bytes.
    case headerTooLarge(needed: UInt64, room: UInt64)
    /// The kernel would put its own pages over parts of the image; sizes in bytes.
    case holeTooSmall(needed: UInt64, free: UInt64)
    /// A patch of this image has failed before.
    case failedBefore
    /// The kernel or a system call filter refuses `kexec_load`, whatever is loaded; the error
    /// number.
    case refused(errno: CInt)

    /// The error numbers that do not depend on the image or the moment: the kernel was built
    /// without the call, or a filter, a missing capability or a security module forbids it.
    private static let lasting: Set<CInt> = [ENOSYS, EPERM, EACCES]

    /// The obstacle that a failed `kexec_load` is until the next boot; `nil` if it means nothing
    /// for later patches.
    init?(lastingRefusal errno: CInt) {
        guard PatchObstacle.lasting.contains(errno) else { return nil }
        self = .refused(errno: errno)
    }
}

extension PatchObstacle: CustomStringConvertible {
    /// One sentence: what, and what to do if anything can be done.
    package var description: String {
        switch self {
        case .switchedOff:
            "patching is switched off by --no-patch or KDUMP_HOTPLUGD_NO_PATCH"
        case .architecture(let architecture):
            "images of \(architecture.name) are not patched yet"
        case .lockedDown:
            "this machine is locked down, which forbids kexec_load"
        case .loadingDisabled:
            "kernel.kexec_load_disabled is 1, so nothing can be loaded until the next boot"
        case .noLoadsLeft:
            "kernel.kexec_load_limit_panic is used up, so nothing can be loaded until the next boot"
        case .lastLoad:
            Obstacle.lastLoad.description
        case .encryptedTarget:
            "a patch would let root read the keys of the encrypted dump target, so it waits until a"
                + " dump would lose something"
        case .imageNotUnderstood(let reason):
            "the loaded image cannot be patched: \(reason)"
        case .digestNotUnderstood:
            "the digest of the loaded image, or what it covers, is not certain"
        case .machineNotKnown(let reason):
            "the machine cannot be described: \(reason)"
        case .headerTooLarge(let needed, let room):
            "the new core header needs \(ByteCount(needed)) and the old one has room for"
                + " \(ByteCount(room))"
        case .holeTooSmall(let needed, let free):
            "the kernel needs \(ByteCount(needed)) for itself at the bottom of reserved memory, but"
                + " only \(ByteCount(free)) is free"
        case .failedBefore:
            "a patch of this image has failed before"
        case .refused(let errno):
            "kexec_load is not available on this machine (\(SystemError.words(for: errno)))"
        }
    }
}
