// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Whether the kernel takes the files of a reload, as it was found out once in this boot; pure.
///
/// `kexec_file_load` drops the image in place first and only then asks the policy of the machine:
/// signatures (CONFIG_KEXEC_SIG_FORCE, lockdown), IMA, LoadPin, SELinux. So files that are not known to
/// be taken are tried beforehand (`Kexec.rehearse`). A trial holds the kexec lock, so there is one for
/// each pair of files in a boot.
struct Trial: Hashable, Codable {
    /// What was tried: other contents, and the same contents under another policy, are another subject.
    struct Subject: Hashable, Codable {
        let kernel: ImageFile.Identity
        let initrd: ImageFile.Identity?
        let lockdown: KernelSupport.Lockdown
        /// Whether IMA has been given rules since the boot.
        let hasAddedRules: Bool

        /// Whether the policy may have become stricter since a load that was not seen.
        var mayBeStricter: Bool { lockdown != .none || hasAddedRules }
    }

    let subject: Subject
    /// The error number with which they were refused; 0 where they were taken.
    let refusal: CInt

    /// Error numbers that say nothing of the files: another try may end otherwise.
    private static let passing: Set<CInt> = [
        EBUSY, ENOMEM, EINTR, EAGAIN, ETXTBSY, EIO,
    ]

    /// Whether an error number would come again with the same files.
    static func isLasting(_ errno: CInt) -> Bool { !passing.contains(errno) }
}

/// The trials of a boot.
struct Trials: Hashable, Codable {
    private var all: [Trial] = []

    /// More than two pairs of files are hardly ever in use in a boot, and what is forgotten is tried
    /// again.
    private static let most = 8

    /// How files ended that were tried: the error number, 0 where they were taken; `nil` where they
    /// were not tried.
    func refusal(of subject: Trial.Subject) -> CInt? {
        all.last { $0.subject == subject }?.refusal
    }

    /// Notes the end of a trial or a load, unless it says nothing of the files.
    mutating func note(_ subject: Trial.Subject, _ errno: CInt) {
        guard Trial.isLasting(errno) else { return }
        all.removeAll { $0.subject == subject }
        all.append(Trial(subject: subject, refusal: errno))
        all = all.suffix(Trials.most)
    }

    /// Forgets refusals, because somebody may have changed a policy.
    mutating func forgetRefusals() { all.removeAll { $0.refusal != 0 } }
}
